# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import ResidualBlock
from tests.layers.projection_head_test import bn
from tests.pretrained.numpy_reference import convolve, shift


def oracle(x, block, frames):
    shortcut = x
    for index, (convolution, norm) in enumerate(zip(block.convolutions, block.norms, strict=True)):
        x = np.maximum(bn(x, norm), 0)
        if index == 0:
            if block.shortcut is not None:
                shortcut = convolve(x, block.shortcut.kernel.numpy(), block.strides)
            if block.shift_fraction:
                x = shift(x, frames)
        x = convolve(x, convolution.kernel.numpy(), block.strides if index == 1 else 1)
    return x + shortcut


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize(("filters", "strides", "projection"), [(8, 1, False), (12, 2, True)])
@pytest.mark.parametrize("fraction", [0.0, 0.125])
def test_matches_the_oracle(bottleneck, filters, strides, projection, fraction):
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 5, 6, 8)).astype(np.float32)
    block = ResidualBlock(filters, strides, projection, bottleneck, fraction)
    block.build((None, None, None, 8))
    for norm in block.norms:
        norm.moving_mean.assign(random.normal(size=norm.moving_mean.shape))
        norm.moving_variance.assign(0.5 + random.random(norm.moving_mean.shape))
    outputs = block(x, num_frames=3)
    np.testing.assert_allclose(outputs, oracle(x, block, 3), rtol=1e-3, atol=1e-4)
