# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from projects import narrated_world
from tests.projects.narrated_world.world_test import small


@pytest.fixture(scope="module")
def pool():
    return narrated_world.make_pool(small(), np.arange(12))


def test_a_pool_holds_the_world_s_clips(pool):
    batch, expected = pool.batch(np.array([5, 2])), small().batch(np.array([5, 2]))
    assert set(batch) == set(expected)
    for name, value in expected.items():
        if name == "audio":
            np.testing.assert_allclose(batch[name], value, atol=5e-3)  # float16
        else:
            np.testing.assert_array_equal(batch[name].numpy(), value.numpy(), err_msg=name)


def test_training_shows_every_clip_once_an_epoch(pool):
    batches = [batch["example_id"].numpy() for batch in pool.train(0, 4).take(6)]
    first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    assert len(set(first)) == len(set(second)) == 12
    assert list(first) != list(second)
    resumed = next(iter(pool.train(0, 4, start=16)))["example_id"].numpy()
    np.testing.assert_array_equal(resumed, batches[4])


def test_fewer_candidates_are_the_nearest_ones(pool):
    all_five = next(iter(pool.train(0, 4)))
    one = next(iter(pool.train(0, 4, candidates=1)))
    assert one["text"].shape == (4, 1, 8)
    np.testing.assert_array_equal(one["text"][:, 0], all_five["text"][:, 0])
    np.testing.assert_array_equal(one["valid/text"][:, 0], all_five["valid/text"][:, 0])
