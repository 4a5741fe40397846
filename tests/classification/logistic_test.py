# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Reference

from mmv_tf.classification.logistic import LogisticRegression, log_loss, mean_by_clip


def problem(clips=60, dim=12, labels=3, seed=0, per_clip=None):
    random = np.random.default_rng(seed)
    classes = np.arange(clips) % labels
    counts = random.integers(1, 6, clips) if per_clip is None else np.full(clips, per_clip)
    of = np.repeat(np.arange(clips), counts)
    centers = random.normal(size=(labels, dim))
    features = 5 + 3 * (centers[classes[of]] + 1.5 * random.normal(size=(len(of), dim)))
    return features.astype(np.float32), of, np.eye(labels, dtype=np.int8)[classes]


def objective(linear, features, clips, targets, penalty, multi_label):
    """As the module describes it, one window at a time."""
    counts = np.bincount(clips)
    weights = 1 / counts[clips] / len(counts)
    deviation = np.sqrt(weights @ (features - weights @ features) ** 2)
    total = 0.5 * penalty * ((linear.kernel * deviation[:, None]) ** 2).sum()
    for row, clip, weight in zip(features.astype(np.float64), clips, weights, strict=True):
        logits = row @ linear.kernel + linear.bias
        if multi_label:
            chances = 1 / (1 + np.exp(-logits))
            right = np.where(targets[clip], chances, 1 - chances)
            total -= weight * np.log(right).sum()
        else:
            chances = np.exp(logits) / np.exp(logits).sum()
            total -= weight * np.log(chances[targets[clip].argmax()])
    return total


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 0.01])
@pytest.mark.parametrize("dim", [12, 500])
def test_it_is_the_minimum(penalty, multi_label, dim):
    features, clips, targets = problem(dim=dim)
    model = LogisticRegression(features, clips, targets, multi_label)
    (linear,) = model.fits([penalty])
    least = objective(linear, features, clips, targets, penalty, multi_label)
    random = np.random.default_rng(1)
    for size in (1e-1, 1e-2):
        for _ in range(5):
            changed = type(linear)(
                linear.kernel + size * random.normal(size=linear.kernel.shape) / dim,
                linear.bias + size * random.normal(size=linear.bias.shape),
            )
            assert objective(changed, features, clips, targets, penalty, multi_label) > least


@pytest.mark.parametrize("penalty", [1.0, 0.1, 0.01])
def test_scores_are_those_of_scikit_learn(penalty):
    features, clips, targets = problem(per_clip=2)
    (linear,) = LogisticRegression(features, clips, targets, False).fits([penalty])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    reference = Reference(C=1 / (penalty * len(features)), max_iter=5000, tol=1e-8)
    reference.fit(standard, targets.argmax(axis=1)[clips])
    np.testing.assert_allclose(
        linear.scores(features, False), reference.predict_proba(standard), atol=1e-3
    )


def test_labels_of_several_are_independent():
    features, clips, targets = problem(per_clip=2, labels=4)
    targets[::5, 0] = 1
    (linear,) = LogisticRegression(features, clips, targets, True).fits([0.05])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    for label in range(4):
        reference = Reference(C=1 / (0.05 * len(features)), max_iter=5000, tol=1e-8)
        reference.fit(standard, targets[clips, label])
        np.testing.assert_allclose(
            linear.scores(features, True)[:, label],
            reference.predict_proba(standard)[:, 1],
            atol=1e-3,
        )


def test_each_clip_counts_once():
    features, clips, targets = problem(per_clip=1)
    often = np.repeat(np.arange(60), np.random.default_rng(0).integers(1, 9, 60))
    (one,) = LogisticRegression(features, clips, targets, False).fits([0.1])
    (other,) = LogisticRegression(features[often], often, targets, False).fits([0.1])
    np.testing.assert_allclose(
        one.scores(features, False), other.scores(features, False), atol=1e-3
    )


def test_the_way_does_not_matter():
    features, clips, targets = problem()
    model = LogisticRegression(features, clips, targets, False)
    *_, warm = model.fits([10, 1, 0.1, 0.01])
    (cold,) = model.fits([0.01])
    np.testing.assert_allclose(
        warm.scores(features, False), cold.scores(features, False), atol=1e-3
    )


def test_constant_features_have_no_weight():
    features, clips, targets = problem()
    features[:, 3] = 1e6
    (linear,) = LogisticRegression(features, clips, targets, False).fits([0.1])
    assert not linear.kernel[3].any()
    with pytest.raises(ValueError, match="windows are equal"):
        LogisticRegression(np.ones_like(features), clips, targets, False)
    features[2, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        LogisticRegression(features, clips, targets, False)


def test_log_loss():
    scores = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    targets = np.array([[1, 0, 0], [1, 0, 0]])
    found = log_loss(scores, targets, False)
    np.testing.assert_allclose(found[0], np.log(2))
    assert 15 < found[1] < 20
    found = log_loss(scores[:1], np.array([[1, 0, 1]]), True)
    np.testing.assert_allclose(found, [np.log(2) - np.log(0.75) - np.log(0.25)])


def test_mean_by_clip():
    found = mean_by_clip(np.array([[1.0], [2.0], [6.0]]), np.array([0, 2, 2]), 3)
    np.testing.assert_array_equal(found, [[1], [np.nan], [4]])
