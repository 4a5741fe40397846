# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear classifier for clips; its penalty is chosen on held-out films."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import threadpoolctl

from mmv_tf.classification.logistic import (
    Linear,
    LogisticRegression,
    log_loss,
    mean_by_clip,
)
from mmv_tf.util.progress import Progress

# Ours: from nearly equal scores to nearly unpenalized scores.
PENALTIES = tuple(10.0**power for power in range(1, -7, -1))
# Ours: steps without improvement after which smaller penalties are skipped.
_PATIENCE = 2


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows of clips, and the clips' labels.

    Attributes:
      features: float32 [windows, d].
      clips: int [windows], the clip index of each window.
      targets: int [clips, labels], 1 for the labels of a clip.
    """

    features: np.ndarray
    clips: np.ndarray
    targets: np.ndarray

    def of(self, clips: np.ndarray) -> Windows:
        """Return the windows of the clips in a mask [clips]; clip indices do not change."""
        rows = clips[self.clips]
        return Windows(self.features[rows], self.clips[rows], self.targets)


@dataclasses.dataclass(frozen=True)
class LinearFit:
    """The selected classifier, and how it was selected.

    Attributes:
      linear: layer fitted on all clips with the selected penalty.
      penalty: penalty with the smallest held-out log loss.
      curve: for each penalty tried: "penalty", "log_loss" (mean over held-out clips) and
        "accuracy" (fraction of held-out clips with all labels correct).
      scores: float64 [clips, labels], held-out scores with the selected penalty; NaN for clips that
        were never held out.
    """

    linear: Linear
    penalty: float
    curve: tuple[dict[str, float], ...]
    scores: np.ndarray


def fit_linear(
    windows: Windows,
    held_out: Sequence[np.ndarray],
    multi_label: bool,
    penalties: Sequence[float] = PENALTIES,
) -> LinearFit:
    """Fit a classifier, choosing the penalty by the log loss on held-out clips.

    Log loss, unlike accuracy, is minimized by scores equal to the true probabilities.

    Args:
      windows: all clips.
      held_out: masks [clips]; for each mask, the classifier is trained on the other clips.
      multi_label: see `LogisticRegression`.
      penalties: penalties from large to small. For each mask, the series stops after three steps
        without improvement.

    Raises:
      ValueError: nothing can be learned from the features.
    """
    # One thread per fold: BLAS threads would wait for each other at every small product.
    with (
        Progress(len(held_out) + 1, "fit", "fits") as progress,
        threadpoolctl.threadpool_limits(1, "blas"),
        concurrent.futures.ThreadPoolExecutor(min(len(held_out), os.cpu_count() or 1)) as pool,
    ):
        paths = []
        for path in pool.map(lambda mask: _path(windows, mask, multi_label, penalties), held_out):
            paths.append(path)
            progress.update()
        tried = min(len(path) for path in paths)
        tested = np.any(held_out, axis=0)
        scores = np.full([tried, *windows.targets.shape], np.nan)
        for mask, path in zip(held_out, paths, strict=True):
            scores[:, mask] = [found[mask] for found in path[:tried]]
        targets = windows.targets[tested]
        losses = [log_loss(one[tested], targets, multi_label).mean() for one in scores]
        best = int(np.argmin(losses))
        model = LogisticRegression(windows.features, windows.clips, windows.targets, multi_label)
        # Starts with larger penalties, as in the folds.
        *_, linear = model.fits(penalties[: best + 1])
        progress.update()
    curve = tuple(
        {"penalty": penalty, "log_loss": float(loss), "accuracy": _accuracy(one[tested], targets,
                                                                            multi_label)}
        for penalty, loss, one in zip(penalties, losses, scores, strict=False)
    )  # fmt: skip
    return LinearFit(linear, penalties[best], curve, scores[best])


def _path(
    windows: Windows, held_out: np.ndarray, multi_label: bool, penalties: Sequence[float]
) -> list[np.ndarray]:
    """Return the scores [clips, labels] of held-out clips for each penalty tried."""
    train, test = windows.of(~held_out), windows.of(held_out)
    model = LogisticRegression(train.features, train.clips, train.targets, multi_label)
    targets = windows.targets[held_out]
    found: list[np.ndarray] = []
    losses: list[float] = []
    for linear in model.fits(penalties):
        scores = mean_by_clip(linear.scores(test.features, multi_label), test.clips, len(held_out))
        found.append(scores)
        losses.append(float(log_loss(scores[held_out], targets, multi_label).mean()))
        if len(losses) - 1 - int(np.argmin(losses)) >= _PATIENCE:
            break
    return found


def _accuracy(scores: np.ndarray, targets: np.ndarray, multi_label: bool) -> float:
    if multi_label:
        return float(((scores >= 0.5) == targets).all(axis=1).mean())
    return float((scores.argmax(axis=1) == targets.argmax(axis=1)).mean())


def describe(fit: LinearFit, clips: int) -> dict[str, Any]:
    """Return plain values for result files: the selected penalty and the curve.

    Args:
      fit: the fit.
      clips: number of clips, to express the penalty as scikit-learn's "C", 1 / (clips * penalty).
    """
    return {"penalty": fit.penalty, "C": 1 / (clips * fit.penalty), "curve": list(fit.curve)}
