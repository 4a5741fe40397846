# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Logistic regression on windows of clips, for a series of penalties.

The objective is the mean over clips of the mean cross-entropy over a clip's windows, so that each
clip counts once whatever its length, plus half the penalty times the squared norm of the weights of
standardized features. It is minimized by L-BFGS in the principal components of the features, each
scaled by the square root of its approximate curvature, which takes a few dozen iterations for any
penalty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

# Ours: components with a smaller fraction of the largest variance are rounding error.
_LEAST_VARIANCE = 1e-9
_LEAST_DEVIATION = 1e-6  # ours: fraction of a feature's mean below which it counts as constant
_ITERATIONS = 500  # ours
# Ours: relative change of the objective at which the iterations stop.
_TOLERANCE = 1e-7


@dataclasses.dataclass(frozen=True)
class Linear:
    """Linear layer: logits [N, labels] are features [N, d] @ kernel [d, labels] + bias [labels]."""

    kernel: np.ndarray
    bias: np.ndarray

    def scores(self, features: np.ndarray, multi_label: bool) -> np.ndarray:
        """Return scores in [0, 1], float64 [N, labels]: sigmoids or a softmax."""
        logits = features @ self.kernel.astype(features.dtype)
        return _scores(logits.astype(np.float64) + self.bias, multi_label)


class LogisticRegression:
    """Logistic regressions on the same windows with several penalties.

    Args:
      features: float [windows, d].
      clips: int [windows], each window's clip, an index into `targets`; a clip without windows
        does not count.
      targets: int [clips, labels], 1 for the labels of a clip.
      multi_label: use a sigmoid for each label; otherwise a softmax, and each clip has one label.

    Raises:
      ValueError: features are not finite, or equal for all windows.
    """

    def __init__(
        self, features: np.ndarray, clips: np.ndarray, targets: np.ndarray, multi_label: bool
    ):
        if not np.isfinite(features).all():
            raise ValueError("The features have values that are not finite; check the model.")
        counts = np.bincount(clips, minlength=len(targets))
        self._weights = 1 / counts[clips] / np.count_nonzero(counts)
        self._targets = targets[clips].astype(np.float64)
        self._multi_label = multi_label
        self._mean = self._weights @ features
        # In float32, as large as the features: the folds hold several copies at once.
        standard = (features - self._mean.astype(np.float32)).astype(np.float32)
        deviation = np.sqrt(self._weights @ np.square(standard))
        constant = deviation <= _LEAST_DEVIATION * np.abs(self._mean) + np.finfo(np.float32).tiny
        if constant.all():
            raise ValueError(
                f"The features of all {len(features)} windows are equal; nothing can be learned "
                "from them. Check the model."
            )
        self._scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
        standard *= self._scale.astype(np.float32)
        self._axes, self._variance = _principal_axes(standard, self._weights)
        self._components = standard @ self._axes.astype(np.float32)

    def fits(self, penalties: Sequence[float]) -> Iterator[Linear]:
        """Yield the minimum for each penalty, starting from the minimum for the previous penalty.

        Args:
          penalties: values above 0, best from large to small.
        """
        labels = self._targets.shape[1]
        bias = _first_bias(self._weights @ self._targets, self._multi_label)
        weights = np.zeros([len(self._variance), labels])
        for penalty in penalties:
            weights, bias = self._minimum(weights, bias, penalty)
            kernel = (self._axes @ weights) * self._scale[:, np.newaxis]
            yield Linear(kernel, bias - self._mean @ kernel)

    def _minimum(
        self, weights: np.ndarray, bias: np.ndarray, penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        from scipy.optimize import minimize  # slow to import

        labels = self._targets.shape[1]
        # The mean of p (1 - p) before training.
        slope = 0.25 if self._multi_label else (labels - 1) / labels**2
        curvature = np.append(slope * self._variance + penalty, slope)
        scale = 1 / np.sqrt(curvature)[:, np.newaxis]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = flat.reshape(-1, labels) * scale
            loss, gradient = self._loss(point[:-1], point[-1], penalty)
            return loss, (gradient * scale).reshape(-1)

        start = np.vstack([weights, bias]) / scale
        options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE, "gtol": 1e-8, "maxcor": 20}
        found = minimize(objective, start.reshape(-1), jac=True, method="L-BFGS-B", options=options)
        point = found.x.reshape(-1, labels) * scale
        return point[:-1], point[-1]

    def _loss(
        self, weights: np.ndarray, bias: np.ndarray, penalty: float
    ) -> tuple[float, np.ndarray]:
        """Return the objective and its gradient by weights and bias [components + 1, labels]."""
        logits = (self._components @ weights.astype(np.float32)).astype(np.float64) + bias
        loss, slopes = _cross_entropy(logits, self._targets, self._multi_label)
        slopes *= self._weights[:, np.newaxis]
        gradient = (self._components.T @ slopes.astype(np.float32)).astype(np.float64)
        total = float(self._weights @ loss) + 0.5 * penalty * float((weights**2).sum())
        return total, np.vstack([gradient + penalty * weights, slopes.sum(axis=0)])


def mean_by_clip(scores: np.ndarray, clips: np.ndarray, count: int) -> np.ndarray:
    """Return each clip's mean score over its windows, [count, labels]; NaN if it has none."""
    sums = np.zeros([count, scores.shape[1]])
    np.add.at(sums, clips, scores)
    counts = np.bincount(clips, minlength=count)[:, np.newaxis]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def log_loss(scores: np.ndarray, targets: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return each clip's cross-entropy in nats, [N]; with several labels, the sum over labels.

    Args:
      scores: probabilities [N, labels].
      targets: int [N, labels], 1 for the labels of a clip.
      multi_label: see `LogisticRegression`.
    """
    least = np.finfo(np.float32).eps
    loss = -(targets * np.log(np.clip(scores, least, 1)))
    if multi_label:
        loss -= (1 - targets) * np.log(np.clip(1 - scores, least, 1))
    return loss.sum(axis=1)


def _cross_entropy(
    logits: np.ndarray, targets: np.ndarray, multi_label: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's loss [N] and its derivative with respect to the logits [N, labels]."""
    scores = _scores(logits, multi_label)
    if multi_label:
        loss = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
    else:
        top = logits.max(axis=1)
        loss = top + np.log(np.exp(logits - top[:, np.newaxis]).sum(axis=1))
        loss -= (targets * logits).sum(axis=1)
    return loss, scores - targets


def _scores(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    if multi_label:
        return 0.5 * (1 + np.tanh(0.5 * logits))  # the sigmoid, without overflow
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _first_bias(shares: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return the best bias for zero weights, given the fraction of clips with each label."""
    shares = np.clip(shares, 1e-6, 1 - 1e-6)
    return np.log(shares / (1 - shares)) if multi_label else np.log(shares)


def _principal_axes(standard: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal axes [d, r] that span the rows, and the variances along them [r]."""
    weighted = standard * np.sqrt(weights, dtype=np.float32)[:, np.newaxis]
    wide = weighted.shape[0] < weighted.shape[1]
    product = weighted @ weighted.T if wide else weighted.T @ weighted
    variance, vectors = np.linalg.eigh(product.astype(np.float64))
    kept = variance > _LEAST_VARIANCE * variance[-1]
    variance, vectors = variance[kept], vectors[:, kept]
    return (weighted.T @ vectors) / np.sqrt(variance) if wide else vectors, variance
