# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions with a quarter of the multiplications, for inference (Lavin and Gray, 2015).

arXiv 1509.09308, F(4 x 4, 3 x 3): tiles of 6 x 6 pixels and the kernel are transformed so that
their convolution is a product of 36 values, and 4 x 4 output pixels are transformed back.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Along one axis: six pixels to six values, three taps to six, six products to four pixels.
_PIXELS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_TAPS = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32
) / np.float32(24)
_PRODUCTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    np.float32,
)
# Ours, measured on one core: with fewer channels, transforming the pixels takes longer than it
# saves; on smaller maps, transforming the kernel does.
_LEAST_CHANNELS = 64
_LEAST_PIXELS = 28 * 28


@keras.saving.register_keras_serializable("mmv_tf")
class WinogradConvolution(keras.layers.Conv2D):
    """3x3 convolution with stride 1 and zero padding, faster than Keras' on large maps.

    Its output differs from that of Keras' convolution only by rounding: in float32, by about 5e-6
    of the largest output. Maps that are small, or whose size is unknown when the layer is called,
    are convolved directly.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to [B, H, W, C] and return [B, H, W, filters]."""
        height, width = inputs.shape[1:3]
        if None in (height, width) or height * width < _LEAST_PIXELS:
            return super().call(inputs)
        outputs = _convolve(inputs, tf.convert_to_tensor(self.kernel))
        return outputs + self.bias if self.use_bias else outputs


def suits(layer: Any) -> bool:
    """Return whether a layer is a convolution that is faster as a `WinogradConvolution`."""
    if not isinstance(layer, keras.layers.Conv2D) or layer.compute_dtype != "float32":
        return False
    form = (layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, layer.groups)
    return (
        form == ((3, 3), (1, 1), (1, 1), "same", 1)
        and layer.activation is keras.activations.linear
        and min(layer.kernel.shape[2:]) >= _LEAST_CHANNELS
    )


def of_convolution(layer: keras.layers.Conv2D) -> WinogradConvolution:
    """Return the replacement for a 3x3 convolution, with copies of its weights."""
    new = WinogradConvolution.from_config(layer.get_config())
    new.build((None, None, None, layer.kernel.shape[2]))
    new.set_weights(layer.get_weights())
    return new


def _convolve(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve [B, H, W, C] with [3, 3, C, F] to [B, H, W, F]; H and W are known."""
    height, width, channels = inputs.shape[1:]
    batch = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0]
    filters = kernel.shape[-1]
    rows, columns = -(-height // 4), -(-width // 4)  # of tiles
    after = 4 * rows + 3 - height, 4 * columns + 3 - width
    x = tf.pad(inputs, [(0, 0), (1, after[0]), (1, after[1]), (0, 0)])
    x = tf.reshape(x, [batch, rows + 1, 4, (columns + 1) * 4 * channels])
    x = tf.matmul(_PIXELS, _overlapping(x))
    x = _overlapping(tf.reshape(x, [batch * rows * 6, columns + 1, 4, channels]))
    x = tf.reshape(x, [batch * rows, 6, columns, 6, channels])
    x = tf.reshape(tf.transpose(x, [1, 3, 0, 2, 4]), [6, 6, batch * rows * columns * channels])
    x = tf.reshape(tf.matmul(_PIXELS, x), [36, batch * rows * columns, channels])
    with tf.control_dependencies([x]):  # otherwise all kernels are transformed first, and kept
        taps = tf.matmul(np.kron(_TAPS, _TAPS), tf.reshape(kernel, [9, channels * filters]))
    x = tf.matmul(x, tf.reshape(taps, [36, channels, filters]))
    x = tf.reshape(x, [36, batch * rows * columns * filters])
    x = tf.matmul(np.kron(_PRODUCTS, _PRODUCTS), x)
    x = tf.transpose(tf.reshape(x, [4, 4, batch * rows, columns, filters]), [2, 0, 3, 1, 4])
    return tf.reshape(x, [batch, 4 * rows, 4 * columns, filters])[:, :height, :width]


def _overlapping(pieces: tf.Tensor) -> tf.Tensor:
    """Append the next tile's first two: [n, pieces + 1, 4, ...] -> [n, pieces, 6, ...]."""
    return tf.concat([pieces[:, :-1], pieces[:, 1:, :2]], axis=2)
