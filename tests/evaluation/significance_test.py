# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation import significance


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).random(400) < 0.3
    low, high = significance.interval(significance.weighted_mean(values), 400)
    half = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 400)
    assert low == pytest.approx(values.mean() - half, abs=0.012)
    assert high == pytest.approx(values.mean() + half, abs=0.012)


def test_groups_are_drawn_whole():
    values = np.repeat(np.random.default_rng(1).random(20) < 0.5, 10)
    groups = [f"film {i // 10}" for i in range(200)]
    metric = significance.weighted_mean(values)
    alone = np.diff(significance.interval(metric, 200))
    together = np.diff(significance.interval(metric, 200, groups))
    assert together > 2.5 * alone, "20 films say less than 200 independent clips would"


@pytest.mark.parametrize("count", [7, 8])
def test_the_weighted_median_is_that_of_the_repeated_values(count):
    values = np.random.default_rng(2).integers(1, 9, count)
    weights = np.random.default_rng(3).multinomial(count, [1 / count] * count, 50).astype(float)
    found = significance.weighted_median(values)(weights)
    expected = [np.median(np.repeat(values, weight.astype(int))) for weight in weights]
    np.testing.assert_allclose(found, expected)


def test_draws_depend_on_the_seed_alone():
    first = significance.draw_weights(30, None, 100, seed=0)
    again = significance.draw_weights(30, None, 100, seed=0)
    other = significance.draw_weights(30, None, 100, seed=1)
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert (np.concatenate(first) != np.concatenate(other)).any()
    assert (np.concatenate(first).sum(axis=1) == 30).all()


def test_equal_runs_do_not_differ_and_unequal_ones_do():
    generator = np.random.default_rng(4)
    first = generator.random(300) < 0.5
    better = first | (generator.random(300) < 0.3)
    assert significance.sign_flip_p_value(first.astype(float) - first) == 1.0
    assert significance.sign_flip_p_value(better.astype(float) - first) < 0.001
    compared = significance.paired_difference(
        significance.weighted_mean(first), significance.weighted_mean(better), 300
    )
    assert compared["difference"] == pytest.approx(better.mean() - first.mean())
    assert 0 < compared["interval"][0] < compared["difference"] < compared["interval"][1]
    assert compared["p_value"] < 0.01


def test_the_p_value_is_uniform_where_nothing_differs():
    values = [
        significance.sign_flip_p_value(np.random.default_rng(seed).normal(size=40), None, 199)
        for seed in range(80)
    ]
    assert 0.4 < np.mean(values) < 0.6
    assert np.mean(np.array(values) <= 0.1) < 0.22


def test_the_p_value_counts_groups_not_items():
    differences = np.repeat([1.0, 1.0, 1.0, -1.0], 50)
    groups = np.repeat(list("abcd"), 50)
    assert significance.sign_flip_p_value(differences, groups) > 0.4
    assert significance.sign_flip_p_value(differences) < 0.001
