# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation results: metrics, each item's scores, and comparisons of two runs.

results.json holds the metrics. results.items.npz beside it holds the id, group and scores of each
item, for intervals and for comparing two runs item by item.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from mmv_tf.evaluation import significance
from mmv_tf.evaluation.classification_metrics import (
    IGNORED,
    mean_average_precisions,
    multilabel_metrics,
)
from mmv_tf.evaluation.retrieval import RECALLS
from mmv_tf.util import files
from mmv_tf.util.configuration import write_json
from mmv_tf.util.safe_files import read_json, read_npz
from mmv_tf.version import __version__

# Ours: limit on rows times classes times resamplings; above it, fewer are drawn and reported.
_MAX_RESAMPLED = 4_000_000_000
_MIN_RESAMPLINGS = 100
_LOWER_IS_BETTER = ("median_rank", "mean_rank")


@dataclasses.dataclass(frozen=True)
class Scored:
    """Ranks or scores of a run's items.

    Attributes:
      ids, groups: strings [N].
      ranks: int [N], rank of the correct class or item; 1 is best.
      scores, labels: [N, classes], labels 1, 0 or -1 (ignored).
      points: recall points for the average precision.
      splits: strings [N]; the headline metric is the mean over splits.
    """

    ids: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    ranks: np.ndarray | None = None
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    points: int = 0

    def __post_init__(self) -> None:
        columns = (self.ids, self.groups, self.splits, self.ranks, self.scores, self.labels)
        if len({column.shape[:1] for column in columns if column is not None}) != 1:
            raise ValueError("its arrays have different items")
        if (self.ranks is None) != (self.scores is not None and self.labels is not None):
            raise ValueError("it has no ranks, or scores without labels")

    def metrics(self, retrieval: bool) -> dict[str, significance.Metric]:
        """Return the metrics as functions of the items' weights."""
        if self.ranks is None:
            if self.scores is None or self.labels is None:
                raise ValueError("it has no ranks, or scores without labels")
            scores, labels, points = self.scores, self.labels, self.points
            return {"mAP": lambda weights: mean_average_precisions(scores, labels, weights, points)}
        ranks = self.ranks
        if not retrieval:
            found = {"top_1": self._over_splits(ranks <= 1)}
            return {**found, "top_5": self._over_splits(ranks <= 5)}
        recalls = {f"R@{k}": significance.weighted_mean(ranks <= k) for k in RECALLS}
        return {
            **recalls,
            "median_rank": significance.weighted_median(ranks),
            "mean_rank": significance.weighted_mean(ranks),
        }

    def _over_splits(self, right: np.ndarray) -> significance.Metric:
        """Return the mean accuracy over the splits that have items in a resampling."""
        parts = [(np.flatnonzero(self.splits == split)) for split in np.unique(self.splits)]
        metrics = [significance.weighted_mean(right[rows]) for rows in parts]
        return lambda weights: np.nanmean(
            [metric(weights[:, rows]) for metric, rows in zip(metrics, parts, strict=True)],
            axis=0,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to save."""
        found = {"ids": self.ids, "groups": self.groups, "splits": self.splits}
        for name in ("ranks", "scores", "labels"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        found["points"] = np.array(self.points)
        return found


@dataclasses.dataclass(frozen=True)
class TaskScores:
    """Scores for a benchmark's task.

    Attributes:
      scored: part ("test", or a direction) -> its items' scores.
      metrics: part -> its metrics.
      details: additional values for the result file.
    """

    scored: dict[str, Scored]
    metrics: dict[str, dict[str, Any]]
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Outcome of an evaluation by any protocol.

    Attributes:
      results: plain values for the result file.
      scored: part ("test", or a direction) -> its items' scores.
    """

    results: dict[str, Any]
    scored: dict[str, Scored]

    def led_by(self, **first: Any) -> Self:
        """Return the same outcome with additional values at the start of the results."""
        return dataclasses.replace(self, results={**first, **self.results})

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the results, and the items' scores beside them."""
        write_results(self.results, self.scored, path)


def benchmark_results(
    *,
    protocol: Mapping[str, Any],
    changed: Sequence[str],
    model: Mapping[str, Any],
    counts: Mapping[str, Any],
    metrics: Mapping[str, Any],
    headline: str,
    reported: Sequence[Mapping[str, Any]] = (),
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a benchmark's results in the format of result files."""
    return {
        "protocol": protocol,
        "changed": list(changed),
        "model": model,
        "counts": counts,
        "metrics": metrics,
        "headline": headline,
        "reported": list(reported),
        **details,
        "environment": environment(),
    }


def summarize(scored: Scored, retrieval: bool) -> dict[str, dict[str, Any]]:
    """Return each metric with its bootstrap interval.

    Returns:
      name -> {"value", "interval": [low, high], "resamplings"}; with more than one split also
      "splits", the value for each. AUC and d' have no intervals; mAP has "skipped_classes".
    """
    count = len(scored.ids)
    everything = np.ones([1, count])
    summary: dict[str, dict[str, Any]] = {}
    resamplings = significance.RESAMPLINGS
    if scored.scores is not None:
        fitting = _MAX_RESAMPLED // max(1, scored.scores.size)
        resamplings = int(np.clip(fitting, _MIN_RESAMPLINGS, resamplings))
    for name, metric in scored.metrics(retrieval).items():
        summary[name] = {
            "value": float(metric(everything)[0]),
            "interval": list(
                significance.interval(metric, count, scored.groups.tolist(), resamplings)
            ),
            "resamplings": resamplings,
        }
    splits = np.unique(scored.splits)
    if scored.ranks is not None and len(splits) > 1:
        for name, k in (("top_1", 1), ("top_5", 5)):
            summary[name]["splits"] = {
                str(split): float((scored.ranks[scored.splits == split] <= k).mean())
                for split in splits
            }
    if scored.scores is not None and scored.labels is not None:
        found = multilabel_metrics(scored.scores, scored.labels, scored.points)
        skipped = found["skipped_classes"]
        summary["mAP"] |= {"classes": found["classes"], "skipped_classes": skipped}
        for name in ("AUC", "d_prime"):
            if name in found:
                summary[name] = {"value": found[name], "skipped_classes": skipped}
        if scored.points:
            area = multilabel_metrics(scored.scores, scored.labels)["mAP"]
            summary["mAP_area"] = {"value": area, "skipped_classes": skipped}
    return summary


def environment() -> dict[str, str]:
    """Return the software versions and the run's machine."""
    return {
        "mmv_tf": __version__,
        "tensorflow": tf.__version__,
        "keras": importlib.metadata.version("keras"),
        "numpy": np.__version__,
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
    }


def items_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path to the items file that belongs to a results file."""
    return pathlib.Path(path).with_suffix(".items.npz")


def write_results(
    results: Mapping[str, Any], scored: Mapping[str, Scored], path: str | os.PathLike[str]
) -> None:
    """Write the items and then the results, each atomically."""
    arrays = {
        f"{name}/{key}": value
        for name, one in scored.items()
        for key, value in one.arrays().items()
    }
    with files.replacing(items_path(path)) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    write_json(results, path)


_FORM = {"protocol": {"name": str, "version": int}, "changed?": [str]}


def read_results(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Scored]]:
    """Read the files that `write_results` wrote.

    Raises:
      ValueError: a file is missing or invalid.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"There are no results at {path}.")
    try:
        results = read_json(path, _FORM)
    except ValueError as error:
        raise ValueError(f"{error}; it is not a results file from mmv evaluate.") from error
    name, version = results["protocol"]["name"], results["protocol"]["version"]
    items = items_path(path)
    if not items.is_file():
        raise ValueError(
            f"{items} is missing; it holds each item's score for {name} version {version}, and "
            "runs can't be compared without it."
        )
    scored: dict[str, dict[str, np.ndarray]] = {}
    for key, value in read_npz(items).items():
        one, _, field = key.rpartition("/")
        scored.setdefault(one, {})[field] = value
    try:
        return results, {
            one: Scored(**{**fields, "points": int(fields["points"])})  # type: ignore[arg-type]
            for one, fields in scored.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{items} is from another version ({error}); evaluate again.") from error


def compare(
    first: str | os.PathLike[str], second: str | os.PathLike[str], seed: int = 0
) -> dict[str, dict[str, dict[str, Any]]]:
    """Test item by item whether two runs of one protocol differ by more than chance.

    Returns:
      part (a retrieval direction, or "test") -> metric -> {"first", "second", "difference", its
      95 % "interval", "p_value", "test", "significant" (p below 0.05)}. Means over items are tested
      by flipping signs (`sign_flip_p_value`), other metrics with the paired bootstrap.

    Raises:
      ValueError: the runs have different protocols, versions or items.
    """
    (one, items_one), (two, items_two) = read_results(first), read_results(second)
    kinds = [
        (r["protocol"]["name"], r["protocol"]["version"], tuple(r.get("changed", ())))
        for r in (one, two)
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{first} uses protocol {_kind(kinds[0])}, {second} {_kind(kinds[1])}; their "
            "metrics can't be compared."
        )
    outcome: dict[str, dict[str, dict[str, Any]]] = {}
    for part in items_one:
        if part not in items_two:
            raise ValueError(f"{second} has no {part!r}, which {first} has.")
        outcome[part] = _compare_part(part, items_one[part], items_two[part], seed)
    return outcome


def _kind(kind: tuple[str, int, tuple[str, ...]]) -> str:
    return f"{kind[0]} version {kind[1]}" + (f" with {', '.join(kind[2])}" if kind[2] else "")


def _compare_part(part: str, a: Scored, b: Scored, seed: int) -> dict[str, dict[str, Any]]:
    if not (np.array_equal(a.ids, b.ids) and np.array_equal(a.splits, b.splits)):
        only = sorted(set(a.ids.tolist()) ^ set(b.ids.tolist()))
        raise ValueError(
            f"{part}: the runs scored different items ({len(a.ids)} and {len(b.ids)}"
            f"{f'; {only[0]!r} is in only one' if only else ''}); compare runs on the same data."
        )
    retrieval = "->" in part
    groups = a.groups.tolist()
    outcome = {}
    metrics = {name: (m, b.metrics(retrieval)[name]) for name, m in a.metrics(retrieval).items()}
    for name, (of_a, of_b) in metrics.items():
        everything = np.ones([1, len(a.ids)])
        compared = significance.paired_difference(of_a, of_b, len(a.ids), groups, seed=seed)
        row: dict[str, Any] = {
            "first": float(of_a(everything)[0]),
            "second": float(of_b(everything)[0]),
            **compared,
            "test": "paired bootstrap",
            "lower_is_better": name in _LOWER_IS_BETTER,
        }
        if a.ranks is not None and b.ranks is not None and name != "median_rank":
            if name == "mean_rank":
                values = b.ranks - a.ranks
            else:
                limit = int(name.replace("@", "_").split("_")[-1])
                values = (b.ranks <= limit).astype(float) - (a.ranks <= limit)
            row["p_value"] = significance.sign_flip_p_value(
                values / _split_sizes(a.splits), groups, seed=seed
            )
            row["test"] = "sign flips"
        row["significant"] = row["p_value"] < 1 - significance.CONFIDENCE
        outcome[name] = row
    return outcome


def _split_sizes(splits: np.ndarray) -> np.ndarray:
    """Return the size of each item's split."""
    _, index, counts = np.unique(splits, return_inverse=True, return_counts=True)
    return counts[index]


def targets_of(labels: np.ndarray) -> np.ndarray:
    """Convert metric labels (1, 0, `IGNORED`) to SVM targets (1, -1, 0)."""
    return np.where(labels == IGNORED, 0, 2 * labels - 1).astype(np.int8)
