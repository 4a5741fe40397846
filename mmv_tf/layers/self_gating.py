# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Feature gating of S3D-G (Xie et al., arXiv 1712.04851)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer, float32_policy


@keras.saving.register_keras_serializable("mmv_tf")
class SelfGating(Layer):
    """Scale each channel by sigmoid(Linear(mean over time and space)).

    Inputs are [B, T, H, W, C] or [B, H, W, C].

    Example:
    >>> SelfGating()(tf.ones([2, 4, 8, 8, 16])).shape
    TensorShape([2, 4, 8, 8, 16])
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the linear layer."""
        channels = input_shape[-1]
        self.gate = keras.layers.Dense(
            channels, activation="sigmoid", dtype=float32_policy(self.dtype_policy), name="gate"
        )
        self.gate.build((None, channels))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to the inputs."""
        inputs, mean = _with_mean(inputs)
        weights = tf.cast(self.gate(mean), inputs.dtype)
        return inputs * _expand(weights, inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return tuple(input_shape)


@tf.custom_gradient
def _with_mean(inputs: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Any]:
    """Return [B, ..., C] and its mean [B, C].

    The gradient through the mean is added by broadcasting [B, 1, ..., 1, C]; TensorFlow's own
    gradient would first expand it to the full shape.
    """
    # Averages each frame first: in a single step, TensorFlow takes two to three times as long.
    means = tf.reduce_mean(inputs, [2, 3]) if inputs.shape.rank == 5 else inputs
    mean = tf.reduce_mean(means, list(range(1, means.shape.rank - 1)))

    def gradient(upstream: tf.Tensor, to_mean: tf.Tensor) -> tf.Tensor:
        places = tf.size(inputs) // tf.maximum(tf.size(to_mean), 1)
        return upstream + _expand(to_mean / tf.cast(places, to_mean.dtype), inputs)

    return (tf.identity(inputs), mean), gradient


def _expand(rows: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Expand [B, C] to [B, 1, ..., 1, C], with the rank of `like`."""
    for _ in range(like.shape.rank - 2):
        rows = rows[:, tf.newaxis]
    return rows
