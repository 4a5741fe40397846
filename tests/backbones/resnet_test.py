# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.backbones import ResNet


def test_under_mixed_bfloat16_the_first_blocks_compute_in_float32():
    network = ResNet(18, 0.0625, dtype="mixed_bfloat16")
    blocks = [block for group in network.groups for block in group]
    dtypes = [layer.compute_dtype for layer in (network.stem_convolution, *blocks)]
    assert dtypes == ["float32"] * 4 + ["bfloat16"] * 5
    assert network(np.ones([1, 20, 16, 1], np.float32)).dtype == "bfloat16"
    with pytest.raises(ValueError, match="bfloat16_from is 'group_0'"):
        ResNet(18, 0.0625, bfloat16_from="group_0")


@pytest.mark.parametrize(("depth", "dim", "blocks"), [(18, 32, 8), (34, 32, 16), (50, 128, 16)])
def test_depths(depth, dim, blocks):
    network = ResNet(depth, width=0.0625)
    network.build()
    assert network.feature_dim == dim
    assert sum(map(len, network.groups)) == blocks


def test_the_deepest_has_33_blocks():
    assert sum(map(len, ResNet(101, width=0.0625).groups)) == 33


def test_last_conv_stands_before_the_final_norm():
    network = ResNet(18, width=0.0625)
    log_mel = np.random.default_rng(0).random((2, 40, 16, 1), np.float32)
    endpoints = network(log_mel, return_endpoints=True)
    assert list(endpoints) == [
        "stem",
        *(f"group_{index}" for index in range(4)),
        "last_conv",
        "embedding",
    ]
    # 40 x 16 halved by the stem twice, and by three groups.
    assert endpoints["last_conv"].shape == (2, 2, 1, 32)
    normed = np.maximum(network.final_norm(endpoints["last_conv"]), 0)
    np.testing.assert_allclose(endpoints["embedding"], normed.mean((1, 2)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 150])
def test_any_number_of_spectrogram_frames(frames):
    outputs = ResNet(18, width=0.0625)(np.ones([2, frames, 80, 1], np.float32))
    assert outputs.shape == (2, 32)
    assert np.isfinite(outputs).all()


def test_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="depth is 20"):
        ResNet(20)


def test_a_network_of_the_least_width_computes():
    features = ResNet(18, width=0.01)(np.zeros([1, 40, 32, 1], np.float32))
    assert features.shape == (1, 4)
