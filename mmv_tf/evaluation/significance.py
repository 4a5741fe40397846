# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals, and tests of whether two runs differ.

Items in one group (segments of one film, clips of one recording) are resampled together, since they
are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

CONFIDENCE = 0.95
# Ours: makes the ends of an interval accurate to about a tenth of its width.
RESAMPLINGS = 1000
PERMUTATIONS = 9999
# Ours: rows of weights held at once; 64 rows of 100,000 items are 50 MB.
_CHUNK = 64

# Weights float [resamplings, N] -> the metric for each resampling, float [resamplings].
Metric = Callable[[np.ndarray], np.ndarray]


def weighted_mean(values: np.ndarray) -> Metric:
    """Return the mean of one value per item as a metric; NaN for a resampling without items."""
    values = np.asarray(values, np.float64)

    def mean(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        return np.where(total > 0, weights @ values / np.maximum(total, 1e-9), np.nan)

    return mean


def weighted_median(values: np.ndarray) -> Metric:
    """Return the median of one value per item as a metric; the mean of the middle two if even."""
    values = np.asarray(values, np.float64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]

    def median(weights: np.ndarray) -> np.ndarray:
        below = np.cumsum(weights[:, order], axis=1)
        half = below[:, -1:] / 2
        low = ordered[(below >= half).argmax(axis=1)]
        high = ordered[(below > half).argmax(axis=1)]
        return (low + high) / 2

    return median


def draw_weights(
    count: int, groups: Sequence[str] | None, resamplings: int, seed: int
) -> list[np.ndarray]:
    """Yield how often each item is drawn in each resampling.

    Args:
      count: number of items.
      groups: each item's group; None if each item is its own group.
      resamplings, seed: number of resamplings, and their seed.

    Returns:
      Float arrays [at most 64, count] with `resamplings` rows in total.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        number, index = count, np.arange(count)
    else:
        names, index = np.unique(np.asarray(groups, str), return_inverse=True)
        number = len(names)
    chances = np.full(number, 1 / number)
    return [
        generator.multinomial(number, chances, min(_CHUNK, resamplings - start))[:, index].astype(
            np.float64
        )
        for start in range(0, resamplings, _CHUNK)
    ]


def bootstrap(
    metric: Metric,
    count: int,
    groups: Sequence[str] | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 0,
) -> np.ndarray:
    """Return the metric of each resampling, float [resamplings], without those that lack items."""
    if count < 1 or resamplings < 1:
        raise ValueError(f"Can't resample {count} items {resamplings} times.")
    values = [metric(weights) for weights in draw_weights(count, groups, resamplings, seed)]
    found = np.concatenate(values)
    return found[np.isfinite(found)]


def interval(
    metric: Metric,
    count: int,
    groups: Sequence[str] | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a metric at `CONFIDENCE`."""
    values = bootstrap(metric, count, groups, resamplings, seed)
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def paired_difference(
    first: Metric,
    second: Metric,
    count: int,
    groups: Sequence[str] | None = None,
    resamplings: int = RESAMPLINGS,
    seed: int = 0,
) -> dict[str, float | list[float]]:
    """Compare two metrics, second minus first, over the same resampled items.

    Returns:
      "difference", its "interval" at `CONFIDENCE`, and "p_value" (two-sided): twice the fraction of
      resamplings in which the difference has the opposite sign or is zero.
    """
    draws = draw_weights(count, groups, resamplings, seed)
    values = np.concatenate([second(weights) - first(weights) for weights in draws])
    values = values[np.isfinite(values)]
    everything = np.ones([1, count])
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    other = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    return {
        "difference": float((second(everything) - first(everything))[0]),
        "interval": [float(low), float(high)],
        "p_value": min(1.0, 2 * (1 + other) / (1 + len(values))),
    }


def sign_flip_p_value(
    differences: np.ndarray,
    groups: Sequence[str] | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> float:
    """Return the two-sided probability that equal runs differ at least this much on average.

    The signs of the items' differences are flipped at random, group by group. The observed signs
    count as one of the permutations.

    Args:
      differences: float [N], one per item.
      groups: see `draw_weights`.
      permutations, seed: number of permutations, and their seed.
    """
    sums: np.ndarray = np.asarray(differences, np.float64)
    if groups is not None:
        _, index = np.unique(np.asarray(groups, str), return_inverse=True)
        sums = np.bincount(index, weights=sums)
    observed = abs(sums.sum())
    # Groups without a difference do not contribute with either sign.
    sums = sums[sums != 0]
    generator = np.random.default_rng(seed)
    as_large = 0
    for start in range(0, permutations, _CHUNK):
        rows = min(_CHUNK, permutations - start)
        signs = generator.integers(0, 2, size=(rows, len(sums)), dtype=np.int8)
        # 1e-9: sums of the same values in another order differ in the last digit.
        flipped = np.abs((2.0 * signs - 1) @ sums)
        as_large += int(np.count_nonzero(flipped >= observed * (1 - 1e-9)))
    return (1 + as_large) / (1 + permutations)
