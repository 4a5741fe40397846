# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import sys

import numpy as np
import pytest

from mmv_tf.evaluation.linear_probe import factor_probe


def data(count, seed):
    generator = np.random.default_rng(seed)
    labels = {"told": generator.integers(0, 4, count), "untold": generator.integers(0, 3, count)}
    features = 0.3 * generator.normal(size=(count, 6))
    features[:, :4] += np.eye(4)[labels["told"]]
    return features.astype(np.float32), labels


def test_what_is_linear_is_read_off_and_what_is_not_there_is_chance():
    accuracies = factor_probe(*data(1000, 0), *data(1000, 1))
    assert accuracies["told"] > 0.9
    assert accuracies["untold"] == pytest.approx(1 / 3, abs=0.06)


def test_the_probe_equals_a_naive_ridge_regression(monkeypatch):
    # The package has a function of the module's name.
    module = sys.modules["mmv_tf.evaluation.linear_probe"]
    monkeypatch.setattr(module, "_PENALTIES", [10.0])
    train, train_labels = data(200, 0)
    test, test_labels = data(100, 1)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    x = (train - mean) / spread
    targets = 2.0 * np.eye(4)[train_labels["told"]] - 1.0
    weights = np.linalg.inv(x.T @ x + 10.0 * np.eye(6)) @ x.T @ (targets - targets.mean(axis=0))
    scores = (test - mean) / spread @ weights + targets.mean(axis=0)
    expected = (scores.argmax(axis=1) == test_labels["told"]).mean()
    got = factor_probe(train, train_labels, test, test_labels)["told"]
    assert got == pytest.approx(expected, abs=0.0101)


def test_the_penalty_is_chosen_where_features_outnumber_clips():
    generator = np.random.default_rng(0)
    train, test = (np.hstack([data(60, s)[0], generator.normal(size=(60, 80))]) for s in (0, 1))
    accuracies = factor_probe(train, data(60, 0)[1], test, data(60, 1)[1])
    assert accuracies["told"] > 0.4


def test_labels_that_training_lacks_count_as_errors():
    train, labels = data(100, 0)
    unseen = {name: np.full(100, 9) for name in labels}
    assert factor_probe(train, labels, train, unseen) == {"told": 0.0, "untold": 0.0}


def test_wrong_arguments_are_refused():
    train, labels = data(50, 0)
    with pytest.raises(ValueError, match="not finite"):
        factor_probe(np.full_like(train, np.nan), labels, train, labels)
    with pytest.raises(ValueError, match="training data has the factors"):
        factor_probe(train, labels, train, {"told": labels["told"]})
    same = {"told": np.zeros(50, int)}
    with pytest.raises(ValueError, match="labels of 'told' are equal"):
        factor_probe(train, same, train, same)
