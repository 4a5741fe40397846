# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mmv_tf.evaluation import classification_metrics


def problem(seed, rows=60, classes=5, ties=False):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(rows, classes))
    labels = (generator.random((rows, classes)) < 0.3).astype(int)
    return (np.round(scores) if ties else scores), labels


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_equals_scikit_learn_without_ties(k):
    scores, _ = problem(0)
    labels = np.random.default_rng(1).integers(0, 5, 60)
    expected = sklearn_metrics.top_k_accuracy_score(labels, scores, k=k, labels=range(5))
    assert classification_metrics.top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_constant_scores_are_never_right():
    assert (
        classification_metrics.top_k_accuracy(np.zeros([4, 3]), np.array([0, 1, 2, 0]), k=2) == 0.0
    )


@pytest.mark.parametrize("ties", [False, True])
def test_multilabel_metrics_equal_scikit_learn(ties):
    scores, labels = problem(2, ties=ties)
    found = classification_metrics.multilabel_metrics(scores, labels)
    area = sklearn_metrics.roc_auc_score(labels, scores, average="macro")
    assert found["mAP"] == pytest.approx(
        sklearn_metrics.average_precision_score(labels, scores, average="macro")
    )
    assert found["AUC"] == pytest.approx(area)
    assert found["skipped_classes"] == 0


def test_classes_without_positives_are_skipped_and_counted():
    scores, labels = problem(3)
    labels[:, 1], labels[:, 3] = 0, 1
    found = classification_metrics.multilabel_metrics(scores, labels)
    kept = [0, 2, 4]
    assert (found["classes"], found["skipped_classes"]) == (3, 2)
    assert found["mAP"] == pytest.approx(
        sklearn_metrics.average_precision_score(labels[:, kept], scores[:, kept])
    )
    with pytest.raises(ValueError, match="No class has both"):
        classification_metrics.multilabel_metrics(scores, np.zeros_like(labels))


def test_ignored_labels_take_no_part():
    scores, labels = problem(4, classes=1)
    labels[:20] = classification_metrics.IGNORED
    expected = classification_metrics.multilabel_metrics(scores[20:], labels[20:])
    assert classification_metrics.multilabel_metrics(scores, labels) == expected


def naive_11_points(scores, labels):
    best = []
    order = np.argsort(-scores)
    for level in range(11):
        reached = [0.0]
        for count in range(1, len(order) + 1):
            hits = labels[order[:count]].sum()
            if 10 * hits >= level * labels.sum():
                reached.append(hits / count)
        best.append(max(reached))
    return sum(best) / 11


@pytest.mark.parametrize("seed", range(5))
def test_11_point_precision_equals_the_oracle(seed):
    scores, labels = problem(seed, rows=30, classes=1)
    found = classification_metrics.average_precision(scores[:, 0], labels[:, 0], points=11)
    assert found == pytest.approx(naive_11_points(scores[:, 0], labels[:, 0]))


@pytest.mark.parametrize("points", [0, 11])
@pytest.mark.parametrize("ties", [False, True])
def test_resampled_precision_is_that_of_the_repeated_rows(points, ties):
    scores, labels = problem(5, rows=25, classes=3, ties=ties)
    weights = np.random.default_rng(6).multinomial(25, [1 / 25] * 25, 4).astype(float)
    found = classification_metrics.mean_average_precisions(scores, labels, weights, points)
    for weight, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(25), weight.astype(int))
        per_class = [
            classification_metrics.average_precision(
                scores[rows, c], labels[rows, c], points=points
            )
            for c in range(3)
        ]
        assert value == pytest.approx(np.mean(per_class))


def test_d_prime_is_the_distance_of_two_normals():
    generator = np.random.default_rng(7)
    scores = np.concatenate([generator.normal(size=20000), generator.normal(1.5, size=20000)])
    area = sklearn_metrics.roc_auc_score(np.repeat([0, 1], 20000), scores)
    assert classification_metrics.d_prime(area) == pytest.approx(1.5, abs=0.05)
    with pytest.raises(ValueError, match="infinite"):
        classification_metrics.d_prime(1.0)


def test_scores_that_are_not_finite_are_refused():
    scores, labels = problem(8)
    scores[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        classification_metrics.multilabel_metrics(scores, labels)
    with pytest.raises(ValueError, match="not finite"):
        classification_metrics.top_k_accuracy(scores, labels[:, 0])
