# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from projects.narrated_world import counter_random


def test_hash_equals_plain_splitmix64():
    # The generator's state after k steps is k * golden; its published first outputs for state 0.
    mask = 2**64 - 1

    def mix(value):
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    assert mix(golden) == 0xE220A8397B1DCDAF
    values = np.array([golden, 2 * golden & mask, 12345], np.uint64)
    expected = [mix(int(value)) for value in values]
    with np.errstate(over="ignore"):
        assert counter_random._mix(values).tolist() == expected


def test_numbers_depend_on_their_coordinates_alone():
    index = np.arange(100)
    whole = counter_random.uniform(3, "name", index)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(counter_random.uniform(3, "name", order), whole[order])
    assert counter_random.uniform(3, "name", 7) == whole[7]
    for other in (
        counter_random.uniform(4, "name", index),
        counter_random.uniform(3, "other", index),
        counter_random.uniform(3, "name", index, 0),
    ):
        assert abs(np.corrcoef(whole, other)[0, 1]) < 0.3


def test_uniform_integers_and_choices_have_their_distributions():
    index = np.arange(40_000)
    drawn = counter_random.uniform(0, "u", index, low=-1.0, high=3.0)
    assert drawn.min() >= -1.0
    assert drawn.max() < 3.0
    np.testing.assert_allclose([drawn.mean(), drawn.var()], [1.0, 16 / 12], atol=0.03)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.02
    counts = np.bincount(counter_random.integers(0, "i", index, count=5), minlength=5)
    np.testing.assert_allclose(counts / len(index), 0.2, atol=0.01)
    counts = np.bincount(counter_random.choices(0, "c", index, shares=(0.5, 0.0, 0.5)))
    np.testing.assert_allclose(counts / len(index), [0.5, 0.0, 0.5], atol=0.01)
    with pytest.raises(ValueError, match="add up to 1"):
        counter_random.choices(0, "c", index, shares=(0.5, 0.6))


def test_noise_pool_gives_normal_slices_and_refuses_too_many():
    pool = counter_random.NoisePool()
    part = pool.slice(2**63 + 5, 100_000)
    np.testing.assert_allclose([part.mean(), part.std()], [0.0, 1.0], atol=0.02)
    np.testing.assert_array_equal(part, pool.slice(2**63 + 5, 100_000))
    with pytest.raises(ValueError, match="were requested"):
        pool.slice(0, 2**20 + 1)
