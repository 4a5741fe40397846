# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Building block of S3D-G: convolution, batch norm and ReLU, optionally separable and gated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes
from mmv_tf.layers.batch_norm import BatchNorm
from mmv_tf.layers.convolution import convolve
from mmv_tf.layers.self_gating import SelfGating

Shape = tuple[int | None, ...]
_HALVES = {"space": slice(0, 1), "time": slice(1, 2)}


def same_padding_shape(shape: Shape, strides: Sequence[int], channels: int) -> Shape:
    """Return the output shape of a SAME-padded, strided operation over the middle axes."""
    middle = [
        None if size is None else -(-size // stride)
        for size, stride in zip(shape[1:-1], strides, strict=True)
    ]
    return (shape[0], *middle, channels)


@keras.saving.register_keras_serializable("mmv_tf")
class Conv3DUnit(Layer):
    """(Convolution -> batch norm -> ReLU) once, or twice when separable, then an optional gate.

    A separable unit convolves in space with [1, k, k] and then in time with [k_t, 1, 1], each
    followed by its own batch norm and ReLU. Convolutions use SAME padding and have no bias, as in
    the released code (deepmind/deepmind-research, mmv/models/s3d.py).

    Args:
      filters: output channels.
      kernel_size: (time, height, width).
      strides: (time, height, width).
      separable: whether to split into a spatial and a temporal convolution. A unit with a 1 x 1
        spatial kernel is never split.
      gating: whether to end with `SelfGating`.

    Example:
    >>> Conv3DUnit(8, (3, 3, 3), separable=True)(tf.ones([1, 4, 16, 16, 3])).shape
    TensorShape([1, 4, 16, 16, 8])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        strides: Sequence[int] = (1, 1, 1),
        separable: bool = False,
        gating: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if len(kernel_size) != 3 or len(strides) != 3:
            raise ValueError(
                "Expected kernel_size and strides as (time, height, width); got "
                f"{tuple(kernel_size)} and {tuple(strides)}."
            )
        check_sizes(filters=filters)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.separable = separable
        self.gating = gating
        time, height, width = self.kernel_size
        time_stride, *space_strides = self.strides
        plan: list[tuple[tuple[int, ...], tuple[int, ...]]]
        if separable and height != 1:
            plan = [
                ((1, height, width), (1, *space_strides)),
                ((time, 1, 1), (time_stride, 1, 1)),
            ]
        else:
            plan = [(self.kernel_size, self.strides)]
        self.convolutions = [self._convolution(kernel, stride) for kernel, stride in plan]
        self.norms = [BatchNorm(activation="relu", dtype=self.dtype_policy) for _ in plan]
        self.gate = SelfGating(dtype=self.dtype_policy) if gating else None

    def _convolution(self, kernel: Sequence[int], strides: Sequence[int]) -> keras.layers.Layer:
        common = dict(
            padding="same",
            data_format="channels_last",
            use_bias=False,
            dtype=self.dtype_policy,
        )
        return keras.layers.Conv3D(self.filters, tuple(kernel), tuple(strides), **common)

    def build(self, input_shape: Shape) -> None:
        """Create the variables; only the channel count needs to be known."""
        shape: Shape = (None,) * 4 + (input_shape[-1],)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build(shape)
            shape = (*shape[:-1], self.filters)
            norm.build(shape)
        if self.gate is not None:
            self.gate.build(shape)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        part: str | None = None,
    ) -> tf.Tensor:
        """Apply the layer to the inputs; see `BatchNorm` for `valid`.

        Args:
          part: "space" for only the first half of a separable unit, which processes each frame by
            itself; "time" for only the second half, with the gate.
        """
        x = inputs
        halves = slice(None) if part is None else _HALVES[part]
        for convolution, norm in zip(self.convolutions[halves], self.norms[halves], strict=True):
            kernel = tf.convert_to_tensor(convolution.kernel)
            x = convolve(x, kernel, convolution.strides, training)
            x = norm(x, training=training, valid=valid)
        return x if self.gate is None or part == "space" else self.gate(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with sizes divided by the strides, rounded up."""
        return same_padding_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "separable": self.separable,
            "gating": self.gating,
        }
