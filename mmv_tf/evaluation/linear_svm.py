# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear support vector machines for many rows and classes.

The objective is that of scikit-learn's `LinearSVC` with its defaults, which MMV's released
evaluation uses: for each class against the rest,

    |w|^2 / 2 + b^2 / 2 + C * sum_i max(0, 1 - y_i (w x_i + b))^2

It is minimized in the primal by Newton steps (Chapelle, Neural Computation 2007): conjugate
gradients find the direction, and an exact line search finds the step length. All classes are solved
at once with products of large float32 matrices, for which BLAS uses all cores. liblinear's
coordinate descent, used by `LinearSVC`, solves classes one by one, row by row, in float64.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np

logger = logging.getLogger(__name__)

# A class has converged when its gradient is this small relative to the gradient at w = 0. Ours:
# weights are then within a thousandth of their limits.
_TOLERANCE = 1e-4
_NEWTON_STEPS = 60
_CONJUGATE_STEPS = 60
_LINE_STEPS = 20
# Rows times classes that are solved at once; ours: 60 MB of margins, and some copies.
_MAX_MARGINS = 15_000_000
# Ours: one in this many groups is held out to select C.
_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class LinearSVM:
    """Weights of all classes, for features before standardization.

    Attributes:
      weights: float32 [D, classes], for standardized features.
      bias: float32 [classes].
      mean, scale: float32 [D]; features are standardized to (x - mean) / scale.
      C: weight of training errors.
      converged: True if every class is within the tolerance.
    """

    weights: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    C: float
    converged: bool

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return signed distances, float32 [N, classes]."""
        standard = (np.asarray(features, np.float32) - self.mean) / self.scale
        return standard @ self.weights + self.bias


def one_vs_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return targets int8 [N, classes]: 1 for a row's own class, -1 for the others."""
    targets = np.full([len(labels), classes], -1, np.int8)
    targets[np.arange(len(labels)), labels] = 1
    return targets


def fit_linear_svm(
    features: np.ndarray,
    targets: np.ndarray,
    C: float,
    standardize: bool = True,
    start: LinearSVM | None = None,
) -> LinearSVM:
    """Train one SVM for each column of the targets.

    Args:
      features: float [N, D].
      targets: [N, classes]: 1 for yes, -1 for no, 0 to exclude the row for that class.
      C: weight of training errors, above 0.
      standardize: scale features to mean 0 and standard deviation 1, except constant features.
      start: an SVM for the same features to start from.

    Raises:
      ValueError: features are not finite, shapes don't match, or C is not above 0.
    """
    features = np.asarray(features, np.float32)
    targets = np.asarray(targets)
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets):
        raise ValueError(
            f"Features {features.shape} and targets {targets.shape} differ; expected [N, D] and "
            "[N, classes]."
        )
    if not np.isfinite(features).all():
        raise ValueError("The features contain values that are not finite.")
    if not C > 0:
        raise ValueError(f"C is {C}; it must be above 0.")
    mean, scale = standardization(features) if standardize else _identity(features)
    return _fit((features - mean) / scale, targets, C, mean, scale, start)


def choose_C(
    features: np.ndarray,
    targets: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    grid: Sequence[float],
    metric: Callable[[np.ndarray, np.ndarray], float],
    seed: int = 0,
) -> tuple[float, dict[str, float]]:
    """Select C by a metric on held-out training groups.

    A fifth of the groups (videos, recordings) is held out, stratified by class if possible. The
    SVMs are trained on the rest with increasing C, each starting from the previous one.

    Args:
      features, targets: see `fit_linear_svm`.
      labels: int [N], classes for stratification.
      groups: each row's group; whole groups are held out.
      grid: values of C.
      metric: (scores [n, classes], held-out rows [n]) -> value; larger is better.
      seed: seed for the random division.

    Returns:
      The selected C, the smallest if several are equally good, and str(C) -> metric.
    """
    grid = sorted(grid)
    number = len(np.unique(np.asarray(groups)))
    if number < 2:
        raise ValueError(f"All training rows belong to {number} group; C can't be selected.")
    # Imported here: importing scikit-learn takes a second, and most users of mmv_tf don't need it.
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    folds = min(_FOLDS, number)
    # There can't be more folds than rows in the largest class.
    stratified = min(folds, int(np.unique(labels, return_counts=True)[1].max()))
    kind = StratifiedGroupKFold if stratified > 1 else GroupKFold
    splitter = kind(stratified if stratified > 1 else folds, shuffle=True, random_state=seed)
    learn, held = next(splitter.split(np.zeros([len(labels), 1]), labels, groups))
    features = np.asarray(features, np.float32)
    mean, scale = standardization(features[learn])
    standard = (features[learn] - mean) / scale
    outcome: dict[str, float] = {}
    machine = None
    for C in grid:
        machine = _fit(standard, targets[learn], C, mean, scale, machine)
        outcome[f"{C:g}"] = metric(machine.scores(features[held]), held)
    best = max(outcome.values())
    return next(C for C in grid if outcome[f"{C:g}"] == best), outcome


def standardization(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation per feature, float32 [D]; 1 for constants, as in scikit-learn."""
    mean = features.mean(axis=0, dtype=np.float64)
    # In pieces, since the float64 copy in `std` would need twice the memory of the data.
    variance = sum(
        np.square(features[start : start + 4096] - mean).sum(axis=0)
        for start in range(0, len(features), 4096)
    ) / len(features)
    # By rounding, a constant feature has a variance of about (epsilon times its mean) squared.
    constant = variance <= np.square(10 * np.finfo(np.float32).eps * np.abs(mean))
    scale = np.where(constant, 1.0, np.sqrt(variance))
    return mean.astype(np.float32), scale.astype(np.float32)


def _identity(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(features.shape[1], np.float32), np.ones(features.shape[1], np.float32)


def _fit(
    x: np.ndarray,
    targets: np.ndarray,
    C: float,
    mean: np.ndarray,
    scale: np.ndarray,
    start: LinearSVM | None,
) -> LinearSVM:
    """Train on standardized features; see `fit_linear_svm`."""
    parts = []
    together = max(1, _MAX_MARGINS // len(x))
    for first in range(0, targets.shape[1], together):
        columns = slice(first, first + together)
        weights = None
        if start is not None:
            weights = np.concatenate([start.weights[:, columns], start.bias[np.newaxis, columns]])
        parts.append(_fit_together(x, targets[:, columns], C, weights))
    w = np.concatenate([part for part, _ in parts], axis=1)
    unfinished = sum(left for _, left in parts)
    if unfinished:
        logger.warning("%d of %d classes did not converge at C = %g.", unfinished, w.shape[1], C)
    return LinearSVM(w[:-1], w[-1], mean, scale, C, not unfinished)


def _fit_together(
    x: np.ndarray, targets: np.ndarray, C: float, start: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Return weights [D + 1, classes], the bias last, and the number of unconverged classes."""
    y = targets.astype(np.float32)
    dim, classes = x.shape[1], y.shape[1]
    # The last row is the bias, which is penalized like a weight, as in liblinear.
    w = np.zeros([dim + 1, classes], np.float32) if start is None else start
    zero_gradient = -2 * C * _transposed(x, y)
    limit = _TOLERANCE * np.linalg.norm(zero_gradient, axis=0)
    left = np.flatnonzero(limit > 0)
    margins = y[:, left] * _times(x, w[:, left])
    for _ in range(_NEWTON_STEPS):
        signs = y[:, left]
        # Excluded rows (sign 0) have margin 0 and no error.
        short = np.where(signs != 0, np.maximum(1 - margins, 0), 0)
        gradient = w[:, left] - 2 * C * _transposed(x, signs * short)
        going = np.linalg.norm(gradient, axis=0) > limit[left]
        if not going.all():
            left, margins, short = left[going], margins[:, going], short[:, going]
            gradient, signs = gradient[:, going], signs[:, going]
        if not len(left):
            break
        active = (short > 0).astype(np.float32)
        step = _newton_direction(x, active, gradient, C)
        change = signs * _times(x, step)
        length = _line_search(w[:, left], step, margins, change, signs, C)
        w[:, left] += length * step
        margins = margins + length * change
    return w, len(left)


def _times(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return [x, 1] @ w."""
    return x @ w[:-1] + w[-1]


def _transposed(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return [x, 1].T @ values."""
    return np.concatenate([x.T @ values, values.sum(axis=0, keepdims=True)])


def _newton_direction(
    x: np.ndarray, active: np.ndarray, gradient: np.ndarray, C: float
) -> np.ndarray:
    """Solve H d = -gradient for all classes by conjugate gradients, H = 1 + 2C X'AX.

    Each class stops when its residual is a tenth of the initial residual, or less near convergence
    (superlinear convergence: Eisenstat and Walker 1996).
    """
    direction = np.zeros_like(gradient)
    residual = -gradient
    search = residual.copy()
    power = np.square(residual).sum(axis=0)
    goal = power * 0.01
    for _ in range(_CONJUGATE_STEPS):
        going = np.flatnonzero(power > goal)
        if not len(going):
            break
        some = search[:, going]
        curved = some + 2 * C * _transposed(x, active[:, going] * _times(x, some))
        length = power[going] / (some * curved).sum(axis=0)
        direction[:, going] += length * some
        residual[:, going] -= length * curved
        new = np.square(residual[:, going]).sum(axis=0)
        search[:, going] = residual[:, going] + (new / power[going]) * some
        power[going] = new
    return direction


def _line_search(
    w: np.ndarray,
    step: np.ndarray,
    margins: np.ndarray,
    change: np.ndarray,
    signs: np.ndarray,
    C: float,
) -> np.ndarray:
    """Return each class's best step length, the zero of an increasing piecewise linear derivative.

    Bracketed Newton steps reach the zero exactly once they are on its linear piece.
    """
    along = (w * step).sum(axis=0, dtype=np.float64)
    square = np.square(step).sum(axis=0, dtype=np.float64)
    length = np.ones(step.shape[1])
    low, high = np.zeros_like(length), np.full_like(length, np.inf)
    going = np.arange(len(length))
    for _ in range(_LINE_STEPS):
        moved = change[:, going]
        short = 1 - margins[:, going] - length[going].astype(np.float32) * moved
        active = (short > 0) & (signs[:, going] != 0)
        moved = np.where(active, moved, 0)
        slope = (
            along[going]
            + length[going] * square[going]
            - 2 * C * np.einsum("nc,nc->c", moved, short)
        )
        curve = square[going] + 2 * C * np.einsum("nc,nc->c", moved, moved)
        low[going] = np.where(slope < 0, length[going], low[going])
        high[going] = np.where(slope > 0, length[going], high[going])
        guess = length[going] - slope / curve
        middle = np.where(np.isfinite(high[going]), (low[going] + high[going]) / 2, guess)
        inside = (guess > low[going]) & (guess < high[going])
        guess = np.where(inside, guess, middle)
        done = np.abs(guess - length[going]) <= 1e-3 * np.abs(length[going])
        length[going] = guess
        going = going[~done]
        if not len(going):
            break
    return length.astype(np.float32)
