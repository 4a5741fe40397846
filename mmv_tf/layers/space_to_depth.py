# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Space-to-depth over time, height and width, for the stem of the released S3D-G weights."""

from __future__ import annotations

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("mmv_tf")
class SpaceToDepth(Layer):
    """[B, T, H, W, C] -> [B, T/2, H/2, W/2, 8C], channel order (time, height, width, C).

    The last frame, row or column is repeated where T, H or W is odd, so that single frames and odd
    sizes work.
    """

    def build(self, input_shape: Shape) -> None:
        """Do nothing: the layer has no variables."""
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to the inputs."""
        middle = inputs.shape.rank - 2
        odd = tf.shape(inputs)[1:-1] % 2
        # SYMMETRIC padding by one repeats the border value.
        paddings = tf.pad(tf.stack([tf.zeros_like(odd), odd], axis=1), [[1, 1], [0, 0]])
        x = tf.pad(inputs, paddings, mode="SYMMETRIC")
        batch, *sizes, channels = tf.unstack(tf.shape(x))
        halves = [size // 2 for size in sizes]
        pairs = [value for half in halves for value in (half, 2)]
        x = tf.reshape(x, [batch, *pairs, channels])
        outer = [1 + 2 * axis for axis in range(middle)]
        inner = [2 + 2 * axis for axis in range(middle)]
        x = tf.transpose(x, [0, *outer, *inner, 2 * middle + 1])
        x = tf.reshape(x, [batch, *halves, channels * 2**middle])
        x.set_shape(self.compute_output_shape(tuple(inputs.shape)))
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with the middle axes halved, rounded up."""
        middle = [None if size is None else (size + 1) // 2 for size in input_shape[1:-1]]
        channels = input_shape[-1]
        return (input_shape[0], *middle, None if channels is None else channels * 2 ** len(middle))
