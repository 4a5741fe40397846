# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zeros after the end; `tests/kernels_test.py` has the rest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmv_tf.layers import MaxPool


def windows_from_the_first_place(x, sizes, strides):
    outputs = [-(-n // stride) for n, stride in zip(x.shape[1:4], strides, strict=True)]
    result = np.empty((x.shape[0], *outputs, x.shape[4]), x.dtype)
    for place in itertools.product(*(range(n) for n in outputs)):
        starts = [index * stride for index, stride in zip(place, strides, strict=True)]
        window = x[:, *(slice(s, s + k) for s, k in zip(starts, sizes, strict=True))]
        cut = np.prod(window.shape[1:4]) < np.prod(sizes)
        largest = window.max((1, 2, 3))
        result[:, *place] = np.maximum(largest, 0) if cut else largest
    return result


@pytest.mark.parametrize("shape", [(2, 4, 6, 8, 3), (1, 5, 7, 9, 2), (1, 1, 1, 2, 1)])
@pytest.mark.parametrize(
    ("sizes", "strides"),
    [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
    ],
)
def test_zeros_after(shape, sizes, strides):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layer = MaxPool(sizes, strides, "zeros_after")
    expected = windows_from_the_first_place(x, sizes, strides)
    np.testing.assert_array_equal(layer(x), expected)
    assert tuple(layer.compute_output_shape(shape)) == expected.shape


def test_of_even_sizes_after_a_relu_it_is_same_padding():
    x = np.random.default_rng(0).random((1, 4, 6, 8, 2), np.float32)
    arguments = ((3, 3, 3), (2, 2, 2))
    same, zeros = (MaxPool(*arguments, padding)(x) for padding in ("same", "zeros_after"))
    np.testing.assert_array_equal(same, zeros)
    same, zeros = (
        MaxPool(*arguments, padding)(x[:, :3, :5, :7]) for padding in ("same", "zeros_after")
    )
    assert np.abs(same - zeros).max() > 0


def test_another_padding_is_refused():
    with pytest.raises(ValueError, match=r"'full'; use one of \('valid', 'same', 'zeros_after'\)"):
        MaxPool(2, 2, "full")
