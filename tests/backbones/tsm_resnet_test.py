# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.backbones import TSMResNet


@pytest.mark.parametrize(
    ("width", "low", "high"), [(1, 23.4e6, 23.6e6), pytest.param(2, 93.7e6, 94.1e6)]
)
@pytest.mark.slow
def test_the_released_networks_sizes(width, low, high):
    network = TSMResNet(width=width)
    network.build()
    # MMV (Alayrac et al., 2020), Table 2: 23.5 M and 93.9 M.
    assert low < network.count_params() < high
    assert network.feature_dim == 2048 * width
    # The released weights have 49 batch norms.
    assert sum(weight.name == "gamma" for weight in network.weights) == 49


@pytest.fixture(scope="module")
def small():
    return TSMResNet(18, width=0.25)


def test_clips_of_a_batch_stay_apart(small):
    clips = np.random.default_rng(0).random((3, 4, 32, 32, 3), np.float32)
    together = small(clips)
    for clip, expected in zip(clips, together, strict=True):
        np.testing.assert_allclose(small(clip[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_frames_reach_their_neighbours(small):
    clips = np.random.default_rng(0).random((1, 4, 32, 32, 3), np.float32)
    other = clips.copy()
    other[:, 3] = 0
    before, after = (small(x, return_endpoints=True)["last_conv"] for x in (clips, other))
    changed = np.abs(before - after).max((1, 2, 3)) > 0
    assert changed[2]


def test_without_a_shift_the_order_of_frames_does_not_matter():
    network = TSMResNet(18, width=0.25, shift_fraction=0.0)
    clips = np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32)
    np.testing.assert_allclose(network(clips), network(clips[:, ::-1]), rtol=1e-4, atol=1e-5)


def test_with_a_shift_it_does(small):
    clips = np.random.default_rng(0).random((2, 4, 32, 32, 3), np.float32)
    assert np.abs(small(clips) - small(clips[:, ::-1])).max() > 1e-3


def test_an_image_is_a_clip_of_one_frame(small):
    images = np.random.default_rng(0).random((2, 33, 40, 3), np.float32)
    np.testing.assert_array_equal(small(images), small(images[:, None]))


def test_dummy_clips_change_no_statistic():
    clips = np.random.default_rng(0).random((2, 3, 32, 32, 3), np.float32)
    padded = np.concatenate([clips, np.zeros_like(clips)])
    statistics = []
    first = TSMResNet(18, width=0.0625)
    first.build()
    for inputs, valid in ((clips, None), (padded, [True, True, False, False])):
        network = TSMResNet(18, width=0.0625)
        network.build()
        network.set_weights(first.get_weights())
        network(inputs, training=True, valid=valid)
        statistics.append([w.numpy() for w in network.non_trainable_weights])
    for plain, masked in zip(*statistics, strict=True):
        np.testing.assert_allclose(plain, masked, rtol=1e-3, atol=1e-4)
