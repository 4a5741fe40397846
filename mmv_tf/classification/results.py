# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Result files for classifiers, in the format of `mmv_tf.evaluation.results`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmv_tf.classification.classifier import Classifier
from mmv_tf.classification.fitting import Fitted
from mmv_tf.classification.labels import LabeledClips
from mmv_tf.classification.measures import (
    ScoredClips,
    class_figures,
    confusions,
    metrics,
    worst,
)
from mmv_tf.evaluation.features import Failures
from mmv_tf.evaluation.results import Outcome, benchmark_results

_VERSION = 1
_MOST_WRONG = 200  # ours; all scores are in the items file
# Ours: a larger matrix is unreadable, and its size grows with the square of the number of classes.
_MOST_CONFUSED = 200


def fit_results(labeled: LabeledClips, fitted: Fitted, threshold: float) -> Outcome:
    """Return the results of a fit.

    Args:
      labeled: the clips.
      fitted: the fit.
      threshold: for several labels, the minimum score of a predicted label.
    """
    counts = {
        "clips": len(labeled.clips),
        "trained": fitted.trained,
        "left_out": list(labeled.left_out),
    }
    outcome = evaluation_results(
        fitted.classifier, fitted.scored, fitted.held_out, fitted.failures, threshold, counts
    )
    outcome.results["selection"] = fitted.selection
    return outcome


def evaluation_results(
    classifier: Classifier,
    scored: ScoredClips,
    data: str,
    failures: Failures,
    threshold: float,
    counts: Mapping[str, Any] | None = None,
) -> Outcome:
    """Return the results of an evaluation.

    Args:
      classifier: the classifier.
      scored: the clips and their scores.
      data: the clips' name: a split, "all" or "cross-validation".
      failures: unreadable clips.
      threshold: see `fit_results`.
      counts: additional counts.
    """
    network = classifier.network
    details: dict[str, Any] = {"classes": class_figures(scored, threshold)}
    if not scored.multi_label and len(scored.labels) <= _MOST_CONFUSED:
        details["confusions"] = confusions(scored)
    details["wrong"] = [
        {
            "clip": scored.clips[index].title,
            "labels": list(scored.clips[index].labels),
            "scores": {
                label: round(float(score), 4)
                for label, score in zip(scored.labels, scored.scores[index], strict=True)
                if score >= 0.01  # ours
            },
        }
        for index in worst(scored, _MOST_WRONG, threshold)
    ]
    results = benchmark_results(
        protocol={
            "name": "classify",
            "version": _VERSION,
            "data": data,
            "modality": classifier.modality,
            "multi_label": classifier.multi_label,
            "threshold": threshold if classifier.multi_label else None,
            "labels": list(classifier.labels),
        },
        changed=(),
        model={
            "sha256": classifier.fingerprint,
            "source_sha256": network.metadata.get("source_sha256"),
            "feature": network.feature,
            "windows": network.windows,
            **classifier.encoder.network.description(),
        },
        counts={
            "scored": len(scored.clips),
            "films": len({clip.film for clip in scored.clips}),
            "wrong": len(worst(scored, len(scored.clips), threshold)),
            **(counts or {}),
            "failures": failures.as_dict(),
        },
        metrics=metrics(scored),
        headline="mAP" if scored.multi_label else "top_1",
        details=details,
    )
    return Outcome(results, {"test": scored.as_scored()})


def summary_lines(results: Mapping[str, Any], most: int) -> Iterator[str]:
    """Yield lines for a terminal: the metrics, and a table of at most `most` classes."""
    counts, selection = results["counts"], results.get("selection")
    yield (
        f"{counts['scored']} clips from {counts['films']} films scored "
        f"({results['protocol']['data']}), {counts['wrong']} misclassified; "
        f"{len(counts['failures']['unreadable'])} can't be read."
    )
    if selection is not None and "penalty" in selection:
        yield (
            f"penalty {selection['penalty']:g} (C {selection['C']:.3g}), chosen on "
            f"{selection['held_out']}"
        )
    for name, one in results["metrics"].items():
        yield f"{name:<18} {_figure(one)}"
    yield f"{'clips':>6} {'precision':>22} {'recall':>22} {'average precision':>22}  class"
    for row in results["classes"][:most]:
        figures = (_figure(row[name]) for name in ("precision", "recall", "average_precision"))
        yield f"{row['clips']:6} {' '.join(f'{one:>22}' for one in figures)}  {row['label']}"
    if len(results["classes"]) > most:
        yield f"... and {len(results['classes']) - most} more classes in the results file."


def _figure(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "-"
    if "interval" not in one:
        return f"{one['value']:.3f}"
    low, high = one["interval"]
    return f"{one['value']:.3f} ({low:.3f} to {high:.3f})"
