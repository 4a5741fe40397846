# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classification metrics: top-k, mean average precision, AUC and d'.

scikit-learn computes the metrics that it provides. Classes without a defined metric are excluded
and counted, never scored as 0 or 1.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import scipy.stats

# Label of rows to ignore, such as VOC's "difficult" objects.
IGNORED = -1


def check_scores(scores: np.ndarray, name: str = "scores") -> np.ndarray:
    """Return scores as float64 [N, classes].

    Raises:
      ValueError: the shape differs, there are no rows, or values are not finite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"The {name} have shape {scores.shape}; expected [N, classes].")
    if not np.isfinite(scores).all():
        raise ValueError(f"The {name} contain values that are not finite.")
    return scores


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the rank of the correct class among all classes; 1 is best, ties count against it.

    Args:
      scores: float [N, classes].
      labels: int [N], from 0 to classes - 1.

    Returns:
      int64 [N]. Top-k accuracy is the fraction of ranks up to k. scikit-learn breaks ties by class
      order instead, which favors constant scores.
    """
    scores = check_scores(scores)
    labels = np.asarray(labels)
    if labels.shape != scores.shape[:1]:
        raise ValueError(f"Got labels of shape {labels.shape} for {len(scores)} rows of scores.")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ValueError(
            f"Labels are {labels.min()} to {labels.max()}; expected 0 to {scores.shape[1] - 1}."
        )
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    return (scores >= own).sum(axis=1)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Return the fraction of rows whose correct class is in the top k; ties count against it."""
    return float((label_ranks(scores, labels) <= k).mean())


def usable_classes(labels: np.ndarray) -> np.ndarray:
    """Return the indices of the classes with at least one positive and one negative.

    Args:
      labels: int [N, classes]: 1 for yes, 0 for no, `IGNORED` to exclude.
    """
    return np.flatnonzero((labels == 1).any(axis=0) & (labels == 0).any(axis=0))


def average_precision(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, points: int = 0
) -> float:
    """Return the average precision for one class.

    Args:
      scores: float [N].
      labels: [N], 1 or 0, at least one of each.
      weights: [N], each row's weight.
      points: 0 for the area under the precision-recall steps, as in scikit-learn; 11 for the mean
        of the best precision at recalls 0, 0.1, ..., 1, as in the VOC 2007 development kit.
    """
    from sklearn import metrics as sklearn_metrics  # slow to import

    if not points:
        return float(sklearn_metrics.average_precision_score(labels, scores, sample_weight=weights))
    precision, recall, _ = sklearn_metrics.precision_recall_curve(
        labels, scores, sample_weight=weights
    )
    # scikit-learn's last point (recall 0, precision 1) is not a threshold.
    precision, recall = precision[:-1], recall[:-1]
    # A recall of 0.30000000000000004 must not count as above 0.3.
    levels = np.linspace(0, 1, points) - 1e-9
    reached = [precision[recall >= level] for level in levels]
    return float(np.mean([found.max() if len(found) else 0.0 for found in reached]))


def multilabel_metrics(
    scores: np.ndarray, labels: np.ndarray, points: int = 0
) -> dict[str, float | int]:
    """Return mean average precision, AUC and d' over the classes for which they are defined.

    Args:
      scores: float [N, classes].
      labels: int [N, classes]: 1, 0 or `IGNORED` (excluded for that class).
      points: see `average_precision`.

    Returns:
      "mAP", "AUC", "d_prime" (sqrt(2) times the normal quantile of the mean AUC, as in AudioSet's
      baseline; absent for an AUC of 0 or 1), "classes", and "skipped_classes" (classes without
      positives or without negatives).

    Raises:
      ValueError: no class remains, or a value is not finite.
    """
    from sklearn import metrics as sklearn_metrics  # slow to import

    scores = check_scores(scores)
    labels = np.asarray(labels)
    if labels.shape != scores.shape:
        raise ValueError(
            f"Labels are {labels.shape}, scores {scores.shape}; expected equal shapes."
        )
    classes = usable_classes(labels)
    if not len(classes):
        raise ValueError("No class has both positives and negatives; there is nothing to score.")
    precisions, areas = [], []
    for column in classes:
        known = labels[:, column] != IGNORED
        truth, value = labels[known, column], scores[known, column]
        precisions.append(average_precision(value, truth, points=points))
        areas.append(sklearn_metrics.roc_auc_score(truth, value))
    area = float(np.mean(areas))
    result: dict[str, float | int] = {
        "mAP": float(np.mean(precisions)),
        "AUC": area,
        "classes": len(classes),
        "skipped_classes": labels.shape[1] - len(classes),
    }
    if 0 < area < 1:
        result["d_prime"] = d_prime(area)
    return result


def d_prime(area: float) -> float:
    """Return the distance between two unit normal distributions whose ROC curve has this area."""
    if not 0 < area < 1:
        raise ValueError(f"d' of an AUC of {area} is infinite; expected an AUC between 0 and 1.")
    return math.sqrt(2) * float(scipy.stats.norm.ppf(area))


def mean_average_precisions(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, points: int = 0
) -> np.ndarray:
    """Return the mAP for each of many resamplings.

    Args:
      scores, labels: see `multilabel_metrics`.
      weights: float [resamplings, N], how often each row is drawn.
      points: see `average_precision`.

    Returns:
      float64 [resamplings], each over the classes with positives in that resampling.
    """
    scores, labels = check_scores(scores), np.asarray(labels)
    per_class = []
    for column in usable_classes(labels):
        known = labels[:, column] != IGNORED
        truth, value = labels[known, column], scores[known, column]
        if points:
            own = np.array(
                [
                    average_precision(value, truth, weight, points)
                    if (weight[truth == 1] > 0).any()
                    else np.nan
                    for weight in weights[:, known]
                ]
            )
        else:
            own = _step_areas(value, truth, weights[:, known])
        per_class.append(own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resampling without any positives
        return np.nanmean(per_class, axis=0)


def _step_areas(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted average precision for many weightings with one sort; ties form one step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = weights[:, order]
    everything = np.cumsum(drawn, axis=1)[:, ends]
    positives = np.cumsum(drawn * labels[order], axis=1)[:, ends]
    total = positives[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(everything > 0, positives / everything, 0.0)
        gained = np.diff(positives, axis=1, prepend=0.0) / total
        return np.where(total[:, 0] > 0, (precision * gained).sum(axis=1), np.nan)
