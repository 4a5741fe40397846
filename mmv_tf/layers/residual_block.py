# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pre-activation residual block of ResNet v2, with an optional temporal shift."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes
from mmv_tf.layers.batch_norm import BatchNorm
from mmv_tf.layers.conv3d_unit import Shape, same_padding_shape
from mmv_tf.layers.convolution import convolve
from mmv_tf.layers.temporal_shift import TemporalShift


@keras.saving.register_keras_serializable("mmv_tf")
class ResidualBlock(Layer):
    """A residual block with batch norm and ReLU before each convolution (arXiv 1603.05027).

    A bottleneck block convolves 1x1, 3x3, 1x1 with a quarter of the channels inside; a basic block
    convolves 1x1, 3x3 (as in MMV's released code, not the usual 3x3, 3x3). The temporal shift acts
    on the first pre-activation of the residual branch; the shortcut is not shifted.

    Args:
      filters: output channels.
      strides: strides of the 3x3 convolution and of the shortcut.
      projection: whether to project the shortcut with a 1x1 convolution.
      bottleneck: whether to use the bottleneck form instead of the basic form.
      shift_fraction: fraction of `TemporalShift`; 0 for no shift.
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        projection: bool = False,
        bottleneck: bool = True,
        shift_fraction: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_sizes(filters=filters, strides=strides)
        self.filters = filters
        self.strides = strides
        self.projection = projection
        self.bottleneck = bottleneck
        self.shift_fraction = shift_fraction
        inner = filters // 4 if bottleneck else filters
        plan = [(inner, 1, 1), (inner, 3, strides)] + ([(filters, 1, 1)] if bottleneck else [])
        self.convolutions = [self._convolution(*step) for step in plan]
        self.norms = [BatchNorm(activation="relu", dtype=self.dtype_policy) for _ in plan]
        self.shortcut = self._convolution(filters, 1, strides) if projection else None
        self.shift = (
            TemporalShift(shift_fraction, dtype=self.dtype_policy) if shift_fraction else None
        )

    def _convolution(self, filters: int, size: int, strides: int) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters,
            size,
            strides,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            dtype=self.dtype_policy,
        )

    @staticmethod
    def _convolve(convolution: Any, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        kernel = tf.convert_to_tensor(convolution.kernel)
        return convolve(inputs, kernel, convolution.strides, training)

    def build(self, input_shape: Shape) -> None:
        """Create the variables; only the channel count needs to be known."""
        shape: Shape = (None, None, None, input_shape[-1])
        if self.shortcut is not None:
            self.shortcut.build(shape)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            norm.build(shape)
            convolution.build(shape)
            shape = (None, None, None, convolution.filters)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        num_frames: Any = None,
    ) -> tf.Tensor:
        """Map [B, H, W, C] to [B, H', W', filters]; with a shift, B counts frames, T per clip."""
        x = shortcut = inputs
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = norm(x, training=training, valid=valid)
            if index == 0:
                if self.shortcut is not None:
                    shortcut = self._convolve(self.shortcut, x, training)
                if self.shift is not None:
                    x = self.shift(x, num_frames=num_frames)
            x = self._convolve(convolution, x, training)
        return x + shortcut

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with sizes divided by the strides, rounded up."""
        return same_padding_shape(input_shape, (self.strides, self.strides), self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "projection": self.projection,
            "bottleneck": self.bottleneck,
            "shift_fraction": self.shift_fraction,
        }
