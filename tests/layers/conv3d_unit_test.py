# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import Conv3DUnit
from tests.pretrained.numpy_reference import convolve


def oracle(x, unit):
    for convolution, norm in zip(unit.convolutions, unit.norms, strict=True):
        x = convolve(x, convolution.kernel.numpy())
        mean, variance, gamma, beta = (
            w.numpy() for w in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
        )
        x = np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    if unit.gate is not None:
        logits = x.mean((1, 2, 3)) @ unit.gate.gate.kernel.numpy() + unit.gate.gate.bias.numpy()
        x = x / (1 + np.exp(-logits))[:, None, None, None]
    return x


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 3, 3), (2, 4, 4)])
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("gating", [False, True])
def test_matches_the_oracle(kernel, separable, gating):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 5, 6, 3)).astype(np.float32)
    unit = Conv3DUnit(4, kernel, separable=separable, gating=gating)
    unit.build((None, None, None, None, 3))
    for weight in unit.weights:
        low = 0.5 if "variance" in weight.name else -0.5
        weight.assign(low + random.random(weight.shape))
    np.testing.assert_allclose(unit(x), oracle(x, unit), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "separable", "count"),
    [((3, 3, 3), True, 2), ((3, 3, 3), False, 1), ((1, 1, 1), True, 1)],
)
def test_only_a_spatial_kernel_is_split(kernel, separable, count):
    assert len(Conv3DUnit(4, kernel, separable=separable).convolutions) == count


def test_kernels_have_three_sizes():
    with pytest.raises(ValueError, match="time, height, width"):
        Conv3DUnit(4, (3, 3))
