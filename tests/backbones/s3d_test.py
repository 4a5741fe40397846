# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.backbones import S3D
from mmv_tf.layers import SpaceToDepth
from mmv_tf.layers.base import scale_channels


@pytest.fixture(scope="module")
def small():
    return S3D("space_to_depth", width=0.0625, blocks=(1, 1, 1))


def test_the_released_network_has_9_million_parameters():
    network = S3D("space_to_depth")
    network.build()
    # MMV (Alayrac et al., 2020), Table 2: 9.1 M.
    assert 9.0e6 < network.count_params() < 9.2e6
    assert network.feature_dim == 1024
    # The released weights have 76 batch norms.
    assert sum(weight.name == "gamma" for weight in network.weights) == 76


def test_endpoints_are_named_and_in_order(small):
    clips = np.zeros([1, 4, 32, 32, 3], np.float32)
    endpoints = small(clips, return_endpoints=True)
    assert list(endpoints) == [
        "Conv2d_1a_7x7",
        "MaxPool_2a_3x3",
        "Conv2d_2b_1x1",
        "Conv2d_2c_3x3",
        "MaxPool_3a_3x3",
        "Mixed_3c",
        "MaxPool_4a_3x3",
        "Mixed_4f",
        "MaxPool_5a_2x2",
        "Mixed_5c",
        "embedding",
    ]
    mean = np.mean(endpoints["Mixed_5c"], axis=(1, 2, 3))
    np.testing.assert_allclose(endpoints["embedding"], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(small(clips), endpoints["embedding"])


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 41, 33)])
@pytest.mark.parametrize("stem", ["rgb", "space_to_depth"])
def test_any_size_from_one_frame_of_32_pixels(stem, size):
    network = S3D(stem, width=0.0625, blocks=(1, 1, 1))
    outputs = network(np.random.default_rng(0).random((2, *size, 3), np.float32))
    assert outputs.shape == (2, network.feature_dim)
    assert np.isfinite(outputs).all()


def test_an_odd_clip_is_the_one_with_its_ends_repeated(small):
    clips = np.random.default_rng(0).random((1, 3, 33, 35, 3), np.float32)
    even = np.pad(clips, [(0, 0), (0, 1), (0, 1), (0, 1), (0, 0)], mode="edge")
    np.testing.assert_allclose(small(clips), small(even), rtol=1e-4, atol=1e-6)


def test_a_rgb_stem_of_4x8x8_is_the_space_to_depth_one():
    """The released stem as one convolution over RGB: the same, and not faster (see `S3D`)."""
    random = np.random.default_rng(0)
    clips = random.random((1, 6, 20, 24, 3), np.float32)
    kernel = random.standard_normal((2, 4, 4, 24, 5)).astype(np.float32)
    rearranged = SpaceToDepth()(clips)
    expected = tf.nn.conv3d(rearranged, kernel, [1] * 5, "SAME")
    # Channels are (time, height, width, colour) within a 2x2x2 cell: each goes to its own tap.
    taps = kernel.reshape(2, 4, 4, 2, 2, 2, 3, 5).transpose(0, 3, 1, 4, 2, 5, 6, 7)
    # SAME padding of the small grid, doubled: 2 taps pad (0, 1) cells, 4 taps (1, 2).
    padded = np.pad(clips, [(0, 0), (0, 2), (2, 4), (2, 4), (0, 0)])
    got = tf.nn.conv3d(padded, taps.reshape(4, 8, 8, 3, 5), [1, 2, 2, 2, 1], "VALID")
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_under_mixed_bfloat16_the_first_layers_compute_in_float32():
    network = S3D(width=0.0625, blocks=(1, 1, 1), dtype="mixed_bfloat16")
    endpoints = network(np.ones([1, 2, 32, 32, 3], np.float32), return_endpoints=True)
    names = [name for name, value in endpoints.items() if value.dtype == tf.float32]
    assert names == list(endpoints)[: list(endpoints).index("Mixed_3c")]
    everything = S3D(
        width=0.0625, blocks=(1, 1, 1), dtype="mixed_bfloat16", bfloat16_from="Conv2d_1a_7x7"
    )
    endpoints = everything(np.ones([1, 2, 32, 32, 3], np.float32), return_endpoints=True)
    assert {value.dtype for value in endpoints.values()} == {tf.bfloat16}
    with pytest.raises(ValueError, match="bfloat16_from is 'Mixed_3b'"):
        S3D(width=0.0625, blocks=(1, 1, 1), bfloat16_from="Mixed_3b")


@pytest.mark.parametrize("first", ["float32", "Conv2d_1a_7x7", "Conv2d_2c_3x3", "Mixed_3c"])
def test_overlapping_windows_are_embedded_as_each_alone(first):
    precision = {} if first == "float32" else {"dtype": "mixed_bfloat16", "bfloat16_from": first}
    network = S3D("space_to_depth", width=0.125, blocks=(1, 1, 1), **precision)
    network.build()
    frames = np.random.default_rng(0).random((22, 40, 36, 3), np.float32)
    starts, num_frames = [0, 4, 10, 14], 8
    clips = np.stack([frames[start : start + num_frames] for start in starts])
    found = network.embed_windows(tf.constant(frames), tf.constant(starts), num_frames)
    bound = 1e-5 if first == "float32" else 2e-2
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), tf.cast(network(clips), tf.float32), rtol=bound, atol=1e-6
    )


def test_only_one_stem_shares_windows(small):
    assert small.shares_windows
    assert not S3D("rgb", width=0.0625, blocks=(1, 1, 1)).shares_windows


def test_widths_are_multiples_of_four():
    assert [scale_channels(n, 0.25) for n in (64, 96, 16, 4)] == [16, 24, 4, 4]


@pytest.mark.parametrize(
    "arguments", [{"stem": "gray"}, {"blocks": (0, 1, 1)}, {"blocks": (2, 6, 2)}]
)
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ValueError, match=r"stem is|blocks is"):
        S3D(**arguments)


def test_the_configuration_of_an_older_file_is_read(small):
    config = {**small.get_config(), "deflated": False}
    assert S3D.from_config(config).get_config() == small.get_config()
