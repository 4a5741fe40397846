# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Max pooling over space, then time, with a correct gradient on every build of TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import with_dtype

PADDINGS = ("valid", "same", "zeros_after")


@keras.saving.register_keras_serializable("mmv_tf")
class MaxPool(keras.layers.MaxPooling3D):
    """Max pooling over (time, height, width): `keras.layers.MaxPooling3D` with its own gradient.

    The outputs are bit-identical. The gradient of a window goes to the first of its maxima, in the
    order of time, rows and columns. Without oneDNN (eager tapes, TF_ENABLE_ONEDNN_OPTS=0, builds
    without it), TensorFlow's `MaxPool3DGrad` sends the whole gradient to each maximum, which
    multiplies it; after a ReLU, ties of zeros are common.

    Args:
      pool_size: frames, rows and columns of a window, or one number for all three.
      strides: steps between windows; None to use `pool_size`.
      padding: "valid"; "same", where padding is never the maximum; or "zeros_after": windows start
        at the first frame, row and column and are padded at the end with zeros, which can be the
        maximum. After a ReLU, with stride 2, the last two differ only at odd sizes.

    Example:
    >>> MaxPool((3, 3, 3), (2, 2, 2), "same")(tf.zeros([1, 5, 8, 8, 2])).shape
    TensorShape([1, 3, 4, 4, 2])
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        **kwargs: Any,
    ):
        # Ignores the data format in a user's keras.json.
        layout = kwargs.pop("data_format", None) or "channels_last"
        if layout != "channels_last":
            raise ValueError(f"data_format is {layout!r}; MaxPool supports only 'channels_last'.")
        if padding not in PADDINGS:
            raise ValueError(f"padding is {padding!r}; use one of {PADDINGS}.")
        # Keras provides the first two; the third has the output sizes of "same".
        known = "same" if padding == "zeros_after" else padding
        super().__init__(pool_size, strides, known, layout, **with_dtype(kwargs))
        self.zeros_after = padding == "zeros_after"

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pool [B, T, H, W, C] to [B, T', H', W', C]."""
        x, padding = inputs, self.padding
        if self.zeros_after:
            ends = [[0, size - 1] for size in self.pool_size]
            x, padding = tf.pad(x, [[0, 0], *ends, [0, 0]]), "valid"
        return max_pool(x, self.pool_size, self.strides, padding)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        config = super().get_config()
        return {**config, "padding": "zeros_after"} if self.zeros_after else config


def max_pool(
    inputs: tf.Tensor, pool_size: Sequence[int], strides: Sequence[int], padding: str
) -> tf.Tensor:
    """Max-pool over space in each frame, then over time at each position; see `MaxPool`.

    2-D pooling sends the gradient to one value in all builds. Ties are resolved as in a single
    step: the first frame with the window's maximum, and the first position in it, are also first in
    the window.

    Args:
      inputs: [B, T, H, W, C].
      pool_size, strides: over time, height and width.
      padding: "valid" or "same", in lower or upper case.
    """
    (time, *space), (time_stride, *space_strides) = pool_size, strides
    x, padding = inputs, padding.upper()
    if max(*space, *space_strides) > 1:
        batch, frames, height, width, channels = _sizes(x)
        x = tf.reshape(x, [batch * frames, height, width, channels])
        x = tf.nn.max_pool2d(x, space, space_strides, padding)
        _, height, width, _ = _sizes(x)
        x = tf.reshape(x, [batch, frames, height, width, channels])
    if max(time, time_stride) > 1:
        batch, frames, height, width, channels = _sizes(x)
        x = tf.reshape(x, [batch, frames, height * width, channels])
        x = tf.nn.max_pool2d(x, [time, 1], [time_stride, 1], padding)
        x = tf.reshape(x, [batch, _sizes(x)[1], height, width, channels])
    return x


def _sizes(tensor: tf.Tensor) -> list[Any]:
    """Return a tensor's shape, with integers where sizes are known."""
    sizes = tensor.shape.as_list()
    if None not in sizes:
        return sizes
    dynamic = tf.shape(tensor)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(sizes)]
