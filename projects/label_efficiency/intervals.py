# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Means over seeds and clips, with bootstrap intervals over both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmv_tf.evaluation.significance import CONFIDENCE, RESAMPLINGS, draw_weights, weighted_mean


def mean_and_interval(
    values: np.ndarray,
    groups: Sequence[str],
    resamplings: int = RESAMPLINGS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean of values and its percentile bootstrap interval.

    Each resampling draws seeds and, independently, groups of clips, with replacement; the weight
    of a value is the number of draws of its seed times the number of draws of its clip.

    Args:
      values: float [seeds, clips], such as 1 if a seed's classifier was correct; NaN for clips
        that were not tested with a seed.
      groups: each clip's group, such as its recording.
      resamplings, seed: number of and seed for the draws.

    Returns:
      The mean, and the lower and upper end at `CONFIDENCE`.

    Raises:
      ValueError: there are no values.
    """
    values = np.asarray(values, np.float64)
    tested = ~np.isnan(values)
    if not tested.any():
        raise ValueError("There are no values to average.")
    seeds, clips = values.shape
    metric = weighted_mean(values[tested])
    found = []
    # Seeds are drawn with another random seed, so that they are independent of the clips.
    for by_clip, by_seed in zip(
        draw_weights(clips, groups, resamplings, seed),
        draw_weights(seeds, None, resamplings, seed + 1),
        strict=True,
    ):
        weights = by_seed[:, :, np.newaxis] * by_clip[:, np.newaxis, :]
        found.append(metric(weights[:, tested]))
    means = np.concatenate(found)
    low, high = np.quantile(means[np.isfinite(means)], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(values[tested].mean()), float(low), float(high)
