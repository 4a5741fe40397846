# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest

from mmv_tf.evaluation.declaration import FineTuning
from mmv_tf.evaluation.listing import Item
from projects.label_efficiency import classifiers
from projects.label_efficiency.tasks import PoolSource


def items(labels, group_size=1):
    return [
        Item(str(row), "", "train", (label,), group=str(row // group_size))
        for row, label in enumerate(labels)
    ]


class CountingSource(PoolSource):
    """Counts the epochs that were read."""

    epochs = 0

    def train(self, items, epoch):
        self.epochs = max(self.epochs, epoch + 1)
        return super().train(items, epoch)


class Means(keras.layers.Layer):
    """A backbone with one weight: the mean colors of a video, scaled."""

    feature_dim = 3

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs, training=False):
        return self.scale * keras.ops.mean(inputs, axis=(1, 2, 3))


def videos(labels):
    """Red, green and blue videos."""
    shown = np.zeros([len(labels), 2, 4, 4, 3], np.uint8)
    for row, label in enumerate(labels):
        shown[row, ..., label] = 200 + row % 20
    return shown


def test_features_of_some_items_are_renumbered():
    features = classifiers.Features(np.arange(6.0)[:, np.newaxis], np.array([0, 0, 1, 1, 2, 2]))
    some = features.of(np.array([2, 0]))
    assert some.values[:, 0].tolist() == [4, 5, 0, 1]
    assert some.owner.tolist() == [0, 0, 1, 1]


def test_extracted_features_are_those_of_the_backbone():
    labels = [0, 1, 2, 1]
    found = classifiers.extract(Means(), PoolSource(videos(labels)), items(labels))
    expected = videos(labels).mean(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert found.owner.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [1, 12])
def test_linear_classifiers_learn_from_one_example_a_class_and_from_more(count, monkeypatch):
    """With one example nothing can be held out; with more the penalty is chosen."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], count)

    def features(labels):
        values = np.eye(3)[labels] + 0.1 * generator.normal(size=(len(labels), 3))
        return classifiers.Features(values.astype(np.float32), np.arange(len(labels)))

    chosen = []
    monkeypatch.setattr(
        classifiers,
        "fit_linear",
        lambda *args, fit=classifiers.fit_linear: chosen.append(1) or fit(*args),
    )
    tested = np.tile([2, 0, 1], 5)
    scores = classifiers.linear_scores(
        features(labels), items(labels), features(tested), 3, penalty=0.01, seed=0
    )
    assert scores.shape == (15, 3)
    assert (scores.argmax(axis=1) == tested).all()
    assert bool(chosen) == (count > 1)


@pytest.mark.parametrize(("labeled", "epochs"), [(4, 10), (20, 5)])
def test_few_labels_make_more_epochs(labeled, epochs):
    """20 examples in batches of 8 are 2 steps an epoch, so 5 epochs for 10 steps."""
    labels = np.arange(labeled) % 3
    declared = FineTuning(
        epochs=3, batch_size=8, learning_rate=0.3, warmup_epochs=0, weight_decay=0.0, dropout=0.0
    )
    source, known = CountingSource(videos(labels)), items(labels)
    scores = classifiers.fine_tuned_scores(
        Means(), source, known, known, 3, declared, min_steps=10, seed=0
    )
    assert source.epochs == epochs
    assert (scores.argmax(axis=1) == labels).all()
