# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import SelfGating


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (2, 4, 5, 6)])
def test_matches_the_oracle(shape):
    random = np.random.default_rng(0)
    x = random.normal(size=shape).astype(np.float32)
    layer = SelfGating()
    layer.build(shape)
    kernel, bias = random.normal(size=(6, 6)), random.normal(size=6)
    layer.gate.kernel.assign(kernel)
    layer.gate.bias.assign(bias)
    logits = x.mean(tuple(range(1, x.ndim - 1))) @ kernel + bias
    gate = (1 / (1 + np.exp(-logits))).reshape(2, *[1] * (x.ndim - 2), 6)
    np.testing.assert_allclose(layer(x), x * gate, rtol=1e-5, atol=1e-6)
