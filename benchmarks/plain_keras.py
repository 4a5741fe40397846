# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""S3D-G in plain Keras: standard layers in sequence, without optimization.

It is the baseline for `benchmarks.forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from mmv_tf.backbones import S3D
from mmv_tf.layers import Conv3DUnit, InceptionBlock


def make_s3dg(dtype: str = "float32") -> keras.Model:
    """Return a model from clips [B, T, H, W, 3] to [B, 1024], with the sizes of our `S3D`."""
    ours = S3D(stem="space_to_depth")
    clips = keras.Input((None, None, None, 3))
    # The space-to-depth stem as the equivalent convolution: 4 x 8 x 8 with stride 2.
    x = _unit(clips, 64, (4, 8, 8), (2, 2, 2), False, dtype)
    for name, layer in zip(ours.layer_names[1:], ours.sequence[1:], strict=True):
        if isinstance(layer, InceptionBlock):
            x = _block(x, layer.filters, dtype)
        elif isinstance(layer, Conv3DUnit):
            gating = name == "Conv2d_2c_3x3"
            for kernel in _kernels(layer.kernel_size):
                x = _unit(x, layer.filters, kernel, (1, 1, 1), False, dtype)
            x = _gate(x, dtype) if gating else x
        else:
            x = layers.MaxPooling3D(layer.pool_size, layer.strides, "same", dtype=dtype)(x)
    return keras.Model(clips, layers.GlobalAveragePooling3D(dtype=dtype)(x))


def _kernels(size: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the two kernels of a separable unit, or the single kernel of a pointwise unit."""
    return [(1, *size[1:]), (size[0], 1, 1)] if size[1] > 1 else [tuple(size)]


def _unit(x: Any, filters: int, kernel: Any, strides: Any, gating: bool, dtype: str) -> Any:
    x = layers.Conv3D(filters, kernel, strides, "same", use_bias=False, dtype=dtype)(x)
    x = layers.BatchNormalization(dtype=dtype)(x)
    x = layers.ReLU(dtype=dtype)(x)
    return _gate(x, dtype) if gating else x


def _gate(x: Any, dtype: str) -> Any:
    weights = layers.GlobalAveragePooling3D(keepdims=True, dtype=dtype)(x)
    weights = layers.Dense(x.shape[-1], activation="sigmoid", dtype=dtype)(weights)
    return layers.Multiply(dtype=dtype)([x, weights])


def _block(x: Any, filters: Sequence[int], dtype: str) -> Any:
    def point(x: Any, count: int, gating: bool) -> Any:
        return _unit(x, count, (1, 1, 1), (1, 1, 1), gating, dtype)

    def cube(x: Any, count: int) -> Any:
        x = _unit(x, count, (1, 3, 3), (1, 1, 1), False, dtype)
        return _unit(x, count, (3, 1, 1), (1, 1, 1), True, dtype)

    pooled = layers.MaxPooling3D(3, 1, "same", dtype=dtype)(x)
    branches = [
        point(x, filters[0], True),
        cube(point(x, filters[1], False), filters[2]),
        cube(point(x, filters[3], False), filters[4]),
        point(pooled, filters[5], True),
    ]
    return layers.Concatenate(dtype=dtype)(branches)
