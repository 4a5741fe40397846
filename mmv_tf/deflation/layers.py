# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The two layers of deflated models that exist neither in Keras nor in the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer


@keras.saving.register_keras_serializable("mmv_tf")
class ChannelPermutation(Layer):
    """Channel reordering: output channel i is `scale[i]` times input channel `order[i]`.

    This is the effect of a temporal shift on equal frames. Where only convolutions and dense layers
    follow, `deflate` folds it into their kernels.

    Args:
      order: order of the input channels.
      scale: factor for each output channel; 1 by default.
    """

    def __init__(self, order: Sequence[int], scale: Sequence[float] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.order = tuple(int(channel) for channel in order)
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"order is {self.order}; expected each channel's index exactly once.")
        self.scale = tuple(scale) if scale is not None else (1.0,) * len(self.order)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to [..., C] and return [..., C]."""
        moved = tf.gather(inputs, tf.constant(self.order, tf.int32), axis=-1)
        return moved * tf.constant(self.scale, moved.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "order": self.order, "scale": self.scale}


@keras.saving.register_keras_serializable("mmv_tf")
class EvenSize(Layer):
    """Repeats the last row or column to make sizes even, then pads with zeros.

    This turns a convolution over space-to-depth pixels into one ordinary strided convolution.

    Args:
      padding: number of zeros to add, ((top, bottom), (left, right)).
    """

    def __init__(self, padding: Sequence[Sequence[int]] = ((0, 0), (0, 0)), **kwargs: Any):
        super().__init__(**kwargs)
        self.padding = tuple((int(before), int(after)) for before, after in padding)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to [B, H, W, C] and return [B, H', W', C]."""
        odd = tf.shape(inputs)[1:3] % 2
        # SYMMETRIC padding by one repeats the border value.
        repeats = tf.pad(tf.stack([tf.zeros_like(odd), odd], axis=1), [[1, 1], [0, 0]])
        even = tf.pad(inputs, repeats, mode="SYMMETRIC")
        outputs = tf.pad(even, [(0, 0), *self.padding, (0, 0)])
        outputs.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape with sizes rounded up to even numbers, plus the padding."""
        batch, *sizes, channels = input_shape
        padded = [
            None if size is None else size + size % 2 + sum(pads)
            for size, pads in zip(sizes, self.padding, strict=True)
        ]
        return (batch, *padded, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "padding": self.padding}
