# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation that is synchronised across replicas and can leave rows out."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.convolution import known_sizes


@keras.saving.register_keras_serializable("mmv_tf")
class BatchNorm(keras.layers.Layer):
    """Normalises each channel by statistics of the whole, global batch.

    Keras' own layer is not used for three reasons, each with a test here: unsynchronised it keeps
    only the first replica's moving statistics; given a mask it silently stops synchronising; and on
    5-D input it is several times slower than the fused kernel, which this layer reaches by folding
    all axes but the last into a 4-D shape.

    In training the batch's own (biased) mean and variance normalise, and the moving ones follow as
    `moving = momentum * moving + (1 - momentum) * batch`. Defaults are the released MMV networks'
    (decay 0.9, epsilon 1e-5).

    Args:
      momentum: weight of the old moving statistics at each update, in [0, 1].
      epsilon: added to the variance.

    Call arguments:
      inputs: [B, ..., C], any rank from 2 up.
      training: use and update batch statistics.
      valid: optional [B] booleans (or 0/1 numbers), or one for the whole batch. Rows where it is
        false take no part in any statistic; with a loss that leaves them out, every gradient is the
        one of the batch without them. A batch with no valid row leaves the moving statistics as
        they are.
      relu: apply a ReLU too. TensorFlow computes both in one pass, which it can't where something
        stands between them, if only a change of shape.

    Example:
    >>> layer = BatchNorm()
    >>> layer(tf.ones([2, 4, 8, 8, 3]), training=True).shape
    TensorShape([2, 4, 8, 8, 3])
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1].")
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates gamma, beta and the moving statistics, all float32."""
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"BatchNorm needs a known channel count, got shape {input_shape}.")

        def weight(name: str, initializer: str, trainable: bool) -> Any:
            return self.add_weight(
                name=name,
                shape=(channels,),
                initializer=initializer,
                trainable=trainable,
                dtype="float32",
                autocast=False,
                # Every replica computes the same value, so any one of them will do.
                aggregation="mean" if trainable else "only_first_replica",
            )

        self.gamma = weight("gamma", "ones", True)
        self.beta = weight("beta", "zeros", True)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        relu: bool = False,
    ) -> tf.Tensor:
        """See the class."""
        if not training:
            return self._fused(inputs, False, relu)[0]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if valid is not None:
            valid = tf.convert_to_tensor(valid)
        if replicas == 1 and (valid is None or valid.shape.rank == 0):
            outputs, mean, variance, count = self._fused(inputs, True, relu)
            # The kernel reports the unbiased variance; the other path, and inference, use the
            # biased one.
            variance *= (count - 1.0) / tf.maximum(count, 1.0)
            counts = count > 0 if valid is None else tf.cast(valid, tf.bool) & (count > 0)
        else:
            outputs, mean, variance, count = self._synchronized(inputs, valid, replicas)
            counts = count > 0
            outputs = tf.nn.relu(outputs) if relu else outputs
        self._update(self.moving_mean, mean, counts)
        self._update(self.moving_variance, variance, counts)
        return outputs

    def _fused(self, inputs: tf.Tensor, training: bool, relu: bool) -> tuple[tf.Tensor, ...]:
        channels = inputs.shape[-1]
        # An image a row, where its size is known: the kernel deals out rows to the cores.
        sizes = inputs.shape[1:-1].as_list()[-2:]
        rows = [1, -1] if None in sizes else [-1, math.prod(sizes)]
        folded = tf.reshape(inputs, [*rows, 1, channels])
        statistics = {}
        if not training:
            statistics = {
                "mean": tf.convert_to_tensor(self.moving_mean),
                "variance": tf.convert_to_tensor(self.moving_variance),
            }
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            folded,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=training,
            **statistics,
        )
        outputs = tf.reshape(tf.nn.relu(outputs) if relu else outputs, known_sizes(inputs))
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        return outputs, mean, variance, count

    def _synchronized(self, inputs: tf.Tensor, valid: Any, replicas: int) -> tuple[tf.Tensor, ...]:
        """Two passes (mean, then squared distance) because E[x^2] - E[x]^2 loses digits."""
        values = tf.cast(inputs, tf.float32)
        axes = list(range(values.shape.rank - 1))
        if valid is None:
            weights = tf.ones_like(values[..., :1])
        else:
            shape = [-1 if valid.shape.rank else 1] + [1] * len(axes)
            rows = tf.reshape(tf.cast(valid, tf.float32), shape)
            weights = tf.broadcast_to(rows, tf.shape(values[..., :1]))
        context = tf.distribute.get_replica_context()

        def total(tensor: tf.Tensor) -> tf.Tensor:
            local = tf.reduce_sum(tensor, axes)
            if replicas == 1 or context is None:
                return local
            return context.all_reduce(tf.distribute.ReduceOp.SUM, local)

        count = total(weights)[0]
        divisor = tf.maximum(count, 1.0)
        mean = total(values * weights) / divisor
        centred = (values - mean) * weights
        variance = total(tf.square(centred)) / divisor
        scale = tf.math.rsqrt(variance + self.epsilon) * self.gamma
        outputs = (values - mean) * scale + self.beta
        return tf.cast(outputs, inputs.dtype), mean, variance, count

    def _update(self, moving: Any, batch: tf.Tensor, counts: tf.Tensor) -> None:
        old = tf.convert_to_tensor(moving)
        batch = tf.stop_gradient(batch)
        new = self.momentum * old + (1.0 - self.momentum) * batch
        moving.assign(tf.where(counts, new, old))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape does not change."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
