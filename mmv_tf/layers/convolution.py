# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Convolutions over space and time, each with TensorFlow's fastest kernel for its shape.

The results equal those of `tf.nn.conv3d` and `tf.nn.conv2d` with SAME padding. On 2 cores (AMX,
AVX512-BF16), the backward pass of all convolutions of a kind in an S3D-G step on
[4, 16, 112, 112, 3] took, in milliseconds of CPU time,

                                     float32          bfloat16
    1 x 1 x 1 as a matrix product    57.5 -> 50.0     39.5 -> 22.2
    k x 1 x 1, kernel's gradient
      as matrix products             137.0 -> 123.6   46.0 -> 37.7

and the forward passes take the same time. At inference, 1 x 1 x 1 kernels remain convolutions:
TensorFlow fuses a convolution with the following bias and ReLU, but a matrix product only if no
reshape lies between them. This saved 11 % of exported S3D-G's run time in bfloat16 and 2 % in
float32. For spatial kernels, 2-D convolutions are no faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def convolve(
    inputs: tf.Tensor, kernel: tf.Tensor, strides: Sequence[int], training: bool = False
) -> tf.Tensor:
    """Convolve with SAME padding and without bias.

    Args:
      inputs: [B, H, W, C] or [B, T, H, W, C].
      kernel: [k, k, C, filters] or [k_t, k, k, C, filters].
      strides: (height, width) or (time, height, width).
      training: whether to use the kernel with the fastest backward pass; the results are the same
        either way.

    Returns:
      [B, H', W', filters] or [B, T', H', W', filters].
    """
    sizes = kernel.shape[:-2]
    at_rest = all(stride == 1 for stride in strides)
    if training and all(size == 1 for size in sizes):
        if not at_rest:
            inputs = inputs[(slice(None), *(slice(None, None, stride) for stride in strides))]
        return _pointwise(inputs, kernel)
    if at_rest and len(sizes) == 3 and sizes[0] % 2 and tuple(sizes[1:]) == (1, 1):
        return _temporal(inputs, kernel)
    plain = tf.nn.conv3d if len(sizes) == 3 else tf.nn.conv2d
    return plain(inputs, kernel, [1, *strides, 1], "SAME")


def known_sizes(tensor: tf.Tensor) -> list[Any]:
    """Return a shape for reshaping: integers and one -1 if possible, otherwise a computed shape.

    Each computed shape takes several operations, and a model would have thousands of them.
    """
    sizes = tensor.shape.as_list()
    if sizes.count(None) <= 1:
        return [-1 if size is None else size for size in sizes]
    return [tf.shape(tensor)[axis] if size is None else size for axis, size in enumerate(sizes)]


def _pointwise(inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    channels, filters = kernel.shape[-2:]
    rows = tf.reshape(inputs, [-1, channels])
    outputs = tf.matmul(rows, tf.reshape(kernel, [channels, filters]))
    return tf.reshape(outputs, [*known_sizes(inputs)[:-1], filters])


@tf.custom_gradient
def _temporal(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Convolve over time only, with an odd kernel."""
    strides = [1] * 5
    taps, *_, channels, filters = kernel.shape
    centre = taps // 2

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        to_inputs = tf.raw_ops.Conv3DBackpropInputV2(
            input_sizes=tf.shape(inputs),
            filter=kernel,
            out_backprop=upstream,
            strides=strides,
            padding="SAME",
        )
        frames = tf.shape(inputs)[1]

        def tap(index: int) -> tf.Tensor:
            """Return the gradient of one tap: output frame t reads input t + index - center."""
            offset = tf.minimum(abs(index - centre), frames)
            early, late = slice(0, frames - offset), slice(offset, frames)
            met, for_ = inputs, upstream
            if index < centre:
                met, for_ = inputs[:, early], upstream[:, late]
            elif index > centre:
                met, for_ = inputs[:, late], upstream[:, early]
            met, for_ = tf.reshape(met, [-1, channels]), tf.reshape(for_, [-1, filters])
            return tf.matmul(met, for_, transpose_a=True)

        to_kernel = tf.stack([tap(index) for index in range(taps)])
        return to_inputs, tf.reshape(to_kernel, tf.shape(kernel))

    return tf.nn.conv3d(inputs, kernel, strides, "SAME"), gradient
