# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions with a quarter of the multiplications, for inference (Lavin and Gray, 2015).

arXiv 1509.09308, F(4 x 4, 3 x 3): pieces of 6 x 6 pixels and the kernel are mapped to where their
convolution is a product of 36 numbers, and 4 x 4 pixels of the output are mapped back.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Along one axis: six pixels to six numbers, three taps to six, six products to four pixels.
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
_TAPS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24.0
_PRODUCTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    np.float32,
)
# Ours, of what was measured on one core: with fewer channels mapping takes longer than it saves;
# with more pairs of them the kernel, which is four times as large, does not stay in the cache.
_LEAST_CHANNELS = 64
_MOST_PAIRS = 2**15


@keras.saving.register_keras_serializable("mmv_tf")
class WinogradConvolution(keras.layers.Layer):
    """A 3x3 convolution with stride 1, zero padding and a bias.

    Differs from the direct one by rounding, in float32 by some 5e-6 of the largest output.

    Args:
      filters: output channels.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the mapped kernel and the bias."""
        self.kernel = self.add_weight(shape=(36, input_shape[-1], self.filters), name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, H, W, C] -> [B, H, W, filters]."""
        known, found = inputs.shape.as_list(), tf.shape(inputs)
        batch, height, width, channels = (
            found[axis] if size is None else size for axis, size in enumerate(known)
        )
        rows, columns = -(-height // 4), -(-width // 4)  # of pieces
        after = 4 * rows + 3 - height, 4 * columns + 3 - width
        x = tf.pad(inputs, [(0, 0), (1, after[0]), (1, after[1]), (0, 0)])
        x = tf.reshape(x, [batch, rows + 1, 4, (columns + 1) * 4 * channels])
        x = tf.matmul(_PIXELS, _overlapping(x))
        x = _overlapping(tf.reshape(x, [batch * rows * 6, columns + 1, 4, channels]))
        x = tf.reshape(x, [batch * rows, 6, columns, 6, channels])
        x = tf.reshape(tf.transpose(x, [1, 3, 0, 2, 4]), [6, 6, -1])
        x = tf.matmul(_PIXELS, x)
        x = tf.matmul(tf.reshape(x, [36, batch * rows * columns, channels]), self.kernel)
        x = tf.matmul(np.kron(_PRODUCTS, _PRODUCTS), tf.reshape(x, [36, -1]))
        x = tf.reshape(x, [4, 4, batch * rows, columns, self.filters])
        x = tf.transpose(x, [2, 0, 3, 1, 4])
        x = tf.reshape(x, [batch, 4 * rows, 4 * columns, self.filters])
        outputs = x[:, :height, :width] + self.bias
        outputs.set_shape(self.compute_output_shape(tuple(known)))
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, H, W, filters]."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "filters": self.filters}


def pays(layer: Any) -> bool:
    """Whether a layer is a convolution that is worth replacing by this one."""
    if not isinstance(layer, keras.layers.Conv2D) or layer.compute_dtype != "float32":
        return False
    form = (layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, layer.groups)
    channels, filters = layer.kernel.shape[2:]
    return (
        tuple(form) == ((3, 3), (1, 1), (1, 1), "same", 1)
        and layer.activation is keras.activations.linear
        and min(channels, filters) >= _LEAST_CHANNELS
        and channels * filters <= _MOST_PAIRS
    )


def of_convolution(layer: keras.layers.Conv2D) -> WinogradConvolution:
    """The layer that does what a 3x3 convolution does, under the same name."""
    kernel, *bias = layer.get_weights()
    channels, filters = kernel.shape[2:]
    mapped = np.einsum("ai,bj,ijcf->abcf", _TAPS, _TAPS, kernel.astype(np.float64))
    new = WinogradConvolution(filters, name=layer.name, dtype=layer.dtype_policy)
    new.build((None, None, None, channels))
    mapped = mapped.reshape(36, channels, filters).astype(np.float32)
    new.set_weights([mapped, bias[0] if bias else np.zeros(filters, np.float32)])
    return new


def _overlapping(pieces: tf.Tensor) -> tf.Tensor:
    """[n, pieces + 1, 4, ...] -> [n, pieces, 6, ...]: each with the first two of the next."""
    return tf.concat([pieces[:, :-1], pieces[:, 1:, :2]], axis=2)
