# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation import linear_probe


def clusters(seed, count, noise):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = np.eye(3, 5)[labels] * 3 + generator.normal(size=(count, 5)) * noise
    return features, labels


def test_separable_classes_are_told_apart():
    train, train_labels = clusters(0, 60, 0.2)
    test, test_labels = clusters(1, 30, 0.2)
    score = linear_probe(train, train_labels, test, test_labels, np.arange(60) // 6)
    assert score["accuracy"] == 1.0
    assert score["majority"] == pytest.approx(1 / 3)
    assert score["unseen"] == 0


def test_noise_is_not_told_apart():
    generator = np.random.default_rng(2)
    train, test = generator.normal(size=(90, 5)), generator.normal(size=(300, 5))
    labels = np.arange(300) % 3
    score = linear_probe(train, labels[:90], test, labels, np.arange(90) // 9)
    assert 0.2 < score["accuracy"] < 0.47


def test_labels_that_training_lacks_are_errors():
    train, train_labels = clusters(3, 30, 0.1)
    test, test_labels = clusters(4, 30, 0.1)
    test_labels = np.where(test_labels == 2, 7, test_labels)
    score = linear_probe(train, train_labels, test, test_labels, np.arange(30) // 3)
    assert score["unseen"] == 10
    assert score["accuracy"] == pytest.approx(2 / 3)


def test_the_interval_draws_whole_groups_of_test_clips():
    train, train_labels = clusters(6, 60, 0.1)
    test, test_labels = clusters(7, 40, 0.1)
    # All errors are in half of the groups, so that a group tells as much as one clip.
    test_labels[:20] = (test_labels[:20] + 1) % 3
    groups = np.arange(60) // 6
    single = linear_probe(train, train_labels, test, test_labels, groups)
    blocks = linear_probe(
        train, train_labels, test, test_labels, groups, test_groups=np.arange(40) // 5
    )
    assert blocks["accuracy"] == single["accuracy"] == 0.5
    # The standard deviation of a mean of 40 fair coins, and of 8.
    for score, draws in ((single, 40), (blocks, 8)):
        low, high = score["interval"]
        assert high - low == pytest.approx(2 * 1.96 * 0.5 / draws**0.5, rel=0.15)


def test_one_class_or_nan_is_refused():
    train, labels = clusters(5, 12, 0.1)
    with pytest.raises(ValueError, match="two classes"):
        linear_probe(train, np.zeros(12), train, labels, np.arange(12))
    with pytest.raises(ValueError, match="not finite"):
        linear_probe(np.full_like(train, np.nan), labels, train, labels, np.arange(12))
