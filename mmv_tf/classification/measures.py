# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifier metrics: accuracy or mAP, per-class metrics with intervals, confusion matrix.

Intervals come from a bootstrap over films, which resamples all clips from a film together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.classification.labels import Clip
from mmv_tf.classification.logistic import log_loss
from mmv_tf.evaluation import significance
from mmv_tf.evaluation.classification_metrics import (
    label_ranks,
    mean_average_precisions,
    usable_classes,
)
from mmv_tf.evaluation.results import Scored, summarize

THRESHOLD = 0.5
# Ours: limit on clips times labels times resamplings per metric; above it, fewer are drawn.
_MAX_RESAMPLED = 400_000_000
_MIN_RESAMPLINGS = 100
_BINS = 10  # ours


@dataclasses.dataclass(frozen=True)
class ScoredClips:
    """Clips with their labels and scores.

    Attributes:
      clips: the clips.
      labels: class names.
      targets: int [clips, labels], 1 for the labels of a clip.
      scores: float [clips, labels] in [0, 1].
      multi_label: whether a clip may have any number of labels.
    """

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    targets: np.ndarray
    scores: np.ndarray
    multi_label: bool

    def predicted(self, threshold: float = THRESHOLD) -> np.ndarray:
        """Return whether each label is predicted, [clips, labels].

        The prediction is the label with the highest score, or with `multi_label` all scores >=
        `threshold`.
        """
        if self.multi_label:
            return self.scores >= threshold
        best = self.scores.argmax(axis=1)
        return np.arange(len(self.labels)) == best[:, np.newaxis]

    def losses(self) -> np.ndarray:
        """Return each clip's cross-entropy, [clips]; the largest are the worst errors."""
        return log_loss(self.scores, self.targets, self.multi_label)

    def as_scored(self) -> Scored:
        """Return the scores in the format of results files."""
        ids = np.array([clip.title for clip in self.clips])
        names: dict[str, str] = {}
        for clip in self.clips:
            names.setdefault(clip.film, clip.group or clip.name)
        groups = np.array([names[clip.film] for clip in self.clips])
        splits = np.full(len(ids), "test")
        if self.multi_label:
            return Scored(ids, groups, splits, scores=self.scores, labels=self.targets)
        ranks = label_ranks(self.scores, self.targets.argmax(axis=1))
        return Scored(ids, groups, splits, ranks=ranks)


def metrics(scored: ScoredClips) -> dict[str, dict[str, Any]]:
    """Return the metrics over all labels, each with its interval.

    Returns:
      name -> {"value", "interval", ...}: "top_1" and "top_5" (for more than 5 labels), or for
      several labels "mAP" (if some label has clips with and without it); "log_loss" and
      "calibration_error" (see `calibration_error`) have no interval.
    """
    found: dict[str, dict[str, Any]] = {}
    if not scored.multi_label or len(usable_classes(scored.targets)):
        found = summarize(scored.as_scored(), retrieval=False)
    if len(scored.labels) <= 5:
        found.pop("top_5", None)
    found["log_loss"] = {"value": float(scored.losses().mean())}
    found["calibration_error"] = {"value": calibration_error(scored)}
    return found


def calibration_error(scored: ScoredClips) -> float:
    """Return the mean distance between scores and the fraction that are correct.

    Scores (of the predicted label, or for several labels all) are divided into ten bins of equal
    width; the distances between the bins' means are weighted by bin size.
    """
    if scored.multi_label:
        scores, right = scored.scores.reshape(-1), scored.targets.reshape(-1) == 1
    else:
        scores = scored.scores.max(axis=1)
        right = scored.scores.argmax(axis=1) == scored.targets.argmax(axis=1)
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    distances = np.abs(np.bincount(bins, scores - right, _BINS))
    return float(distances.sum() / len(scores))


def class_figures(scored: ScoredClips, threshold: float = THRESHOLD) -> list[dict[str, Any]]:
    """Return "label", "clips", "films", and three metrics with intervals for each class.

    "precision", "recall" and "average_precision" are {"value", "interval"}, or None if they are
    undefined, such as the precision of a class that is never predicted.
    """
    targets = scored.targets.astype(np.float64)
    predicted = scored.predicted(threshold).astype(np.float64)
    films = [clip.film for clip in scored.clips]
    fitting = _MAX_RESAMPLED // max(1, scored.scores.size)
    count = int(np.clip(fitting, _MIN_RESAMPLINGS, significance.RESAMPLINGS))
    draws = significance.draw_weights(len(films), films, count, seed=0)
    usable = usable_classes(scored.targets)

    def values(weights: np.ndarray) -> np.ndarray:
        """Return precision, recall and average precision, [3, draws, labels]."""
        found = np.full([3, len(weights), len(scored.labels)], np.nan)
        right = weights @ (predicted * targets)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[0] = right / (weights @ predicted)
            found[1] = right / (weights @ targets)
        for column in usable:
            one = slice(column, column + 1)
            found[2, :, column] = mean_average_precisions(
                scored.scores[:, one], scored.targets[:, one], weights
            )
        return found

    exact = values(np.ones([1, len(films)]))[:, 0]
    drawn = np.concatenate([values(weights) for weights in draws], axis=1)
    tail = (1 - significance.CONFIDENCE) / 2
    figures = []
    for column, label in enumerate(scored.labels):
        own = np.flatnonzero(scored.targets[:, column])
        row: dict[str, Any] = {
            "label": label, "clips": len(own), "films": len({films[clip] for clip in own})
        }  # fmt: skip
        for place, name in enumerate(("precision", "recall", "average_precision")):
            row[name] = None
            sample = drawn[place, :, column]
            sample = sample[np.isfinite(sample)]
            if np.isfinite(exact[place, column]) and len(sample):
                interval = [float(end) for end in np.quantile(sample, [tail, 1 - tail])]
                row[name] = {"value": float(exact[place, column]), "interval": interval}
        figures.append(row)
    return figures


def confusions(scored: ScoredClips) -> np.ndarray:
    """Return the number of clips by label (rows) and predicted label, int [labels, labels].

    Raises:
      ValueError: clips have several labels.
    """
    if scored.multi_label:
        raise ValueError("Clips with several labels have no confusion matrix.")
    count = len(scored.labels)
    pairs = scored.targets.argmax(axis=1) * count + scored.scores.argmax(axis=1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def worst(scored: ScoredClips, most: int, threshold: float = THRESHOLD) -> list[int]:
    """Return the indices of misclassified clips, largest loss first."""
    wrong = (scored.predicted(threshold) != scored.targets).any(axis=1)
    order: Sequence[int] = np.argsort(-scored.losses(), kind="stable").tolist()
    return [index for index in order if wrong[index]][:most]
