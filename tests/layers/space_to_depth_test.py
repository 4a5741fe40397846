# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import SpaceToDepth


def oracle(x):
    b, t, h, w, c = x.shape
    out = np.zeros((b, t // 2, h // 2, w // 2, 8 * c), x.dtype)
    for dt in range(2):
        for dh in range(2):
            for dw in range(2):
                place = ((dt * 2 + dh) * 2 + dw) * c
                out[..., place : place + c] = x[:, dt::2, dh::2, dw::2]
    return out


def test_matches_the_oracle():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(SpaceToDepth()(x), oracle(x))


@pytest.mark.parametrize("size", [(1, 4, 4), (3, 4, 4), (4, 5, 4), (4, 4, 7), (1, 1, 1)])
def test_an_odd_size_repeats_its_end(size):
    x = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    even = np.pad(x, [(0, 0), *((0, n % 2) for n in size), (0, 0)], mode="edge")
    np.testing.assert_array_equal(SpaceToDepth()(x), oracle(even))
