# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from projects.label_efficiency.intervals import mean_and_interval


def naive_draws(values, groups, resamplings):
    """Means of resampled seeds and groups, by loops and with other random numbers."""
    generator = np.random.default_rng(99)
    names = sorted(set(groups))
    means = []
    for _ in range(resamplings):
        seeds = generator.integers(len(values), size=len(values))
        drawn = [names[i] for i in generator.integers(len(names), size=len(names))]
        found = [
            values[seed, clip]
            for seed in seeds
            for name in drawn
            for clip in range(len(groups))
            if groups[clip] == name and not np.isnan(values[seed, clip])
        ]
        if found:
            means.append(np.mean(found))
    return np.quantile(means, [0.025, 0.975])


def test_the_interval_is_that_of_a_plain_bootstrap():
    generator = np.random.default_rng(0)
    ability = np.array([0.3, 0.6, 0.8])[:, np.newaxis]
    values = (generator.random((3, 40)) < ability).astype(float)
    values[0, :10] = values[1, 30:] = np.nan
    groups = [f"g{clip // 2}" for clip in range(40)]
    mean, low, high = mean_and_interval(values, groups, resamplings=4000)
    assert mean == pytest.approx(np.nanmean(values))
    assert (low, high) == pytest.approx(naive_draws(values, groups, 4000), abs=0.02)


def test_seeds_that_differ_widen_the_interval():
    same = np.tile([0.0, 1.0] * 50, (3, 1))
    other = np.stack([np.zeros(100), np.full(100, 0.5), np.ones(100)])
    groups = [str(clip) for clip in range(100)]
    (_, low, high), (_, lower, higher) = (mean_and_interval(v, groups) for v in (same, other))
    assert (lower, higher) == (0.0, 1.0)
    assert 0.35 < low < 0.5 < high < 0.65


def test_groups_are_drawn_together():
    values = np.repeat(np.random.default_rng(1).integers(0, 2, (1, 10)), 20, axis=1).astype(float)
    alone = mean_and_interval(values, [str(clip) for clip in range(200)])
    grouped = mean_and_interval(values, [str(clip // 20) for clip in range(200)])
    assert grouped[2] - grouped[1] > 2 * (alone[2] - alone[1])


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        mean_and_interval(np.full((2, 3), np.nan), ["a", "b", "c"])
