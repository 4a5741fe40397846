# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batch normalization that synchronizes across replicas and can exclude rows."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer
from mmv_tf.layers.convolution import known_sizes
from mmv_tf.layers.replicas import of_each_replica, sum_over_replicas


class _Pending(threading.local):
    """Moments to exchange at the end of `each_replica_by_itself`.

    They are thread-local, because `tf.distribute` traces each replica in its own thread.
    """

    moments: list[tuple[BatchNorm, tf.Tensor]] | None = None


_pending = _Pending()


@contextlib.contextmanager
def each_replica_by_itself() -> Iterator[None]:
    """Within this context, normalize each replica's rows by their own moments in training.

    This saves two exchanges between replicas per layer. The moving statistics still follow the
    global batch: on exit, one exchange serves all layers. Enter the context in replica context.
    """
    _pending.moments = []
    try:
        yield
        _update_together(_pending.moments)
    finally:
        _pending.moments = None


def _update_together(moments: list[tuple[BatchNorm, tf.Tensor]]) -> None:
    if not moments:
        return
    sizes = [values.shape[-1] for _, values in moments]
    gathered = of_each_replica(tf.concat([values for _, values in moments], axis=-1))
    for (layer, _), values in zip(moments, tf.split(gathered, sizes, axis=-1), strict=True):
        layer.update(*_pooled(values))


@keras.saving.register_keras_serializable("mmv_tf")
class BatchNorm(Layer):
    """Normalize each channel by statistics of the global batch.

    There are three reasons not to use Keras' layer, each covered by a test: unsynchronized, it
    keeps only the first replica's moving statistics; with a mask, it silently stops synchronizing;
    and on 5-D input it is several times slower than the fused kernel, which this layer uses by
    reshaping inputs to 4-D.

    In training, the batch's mean and (biased) variance are used to normalize, and the moving
    statistics follow: `moving = momentum * moving + (1 - momentum) * batch`. The defaults are those
    of the released MMV models (decay 0.9, epsilon 1e-5).

    Args:
      momentum: weight of the old moving statistics at each update, in [0, 1].
      epsilon: added to the variance.
      activation: activation of the outputs: None or "relu". TensorFlow computes a batch norm and
        its ReLU in one pass, unless another operation, even a reshape, separates them.

    Call arguments:
      inputs: [B, ..., C], of rank 2 or higher.
      training: whether to use and update batch statistics.
      valid: optional [B] booleans (or 0/1 numbers), or one value for the whole batch. Rows marked
        False are excluded from all statistics; with a loss that excludes them too, every gradient
        equals that of the batch without them. A batch without valid rows does not change the moving
        statistics.

    Attributes:
      frozen: use the moving statistics and leave them unchanged, even in training. Set for a
        training run and not saved.

    Example:
    >>> layer = BatchNorm()
    >>> layer(tf.ones([2, 4, 8, 8, 3]), training=True).shape
    TensorShape([2, 4, 8, 8, 3])
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        activation: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1].")
        if activation not in (None, "relu"):
            raise ValueError(f"activation is {activation!r}; use None or 'relu'.")
        self.momentum = momentum
        self.epsilon = epsilon
        self.activation = activation
        self.frozen = False

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gamma, beta and the moving statistics, all float32."""
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"BatchNorm needs a known channel count; got shape {input_shape}.")

        def weight(name: str, initializer: str, trainable: bool) -> Any:
            return self.add_weight(
                name=name,
                shape=(channels,),
                initializer=initializer,
                trainable=trainable,
                dtype="float32",
                autocast=False,
                # Every replica computes the same value.
                aggregation="mean" if trainable else "only_first_replica",
            )

        self.gamma = weight("gamma", "ones", True)
        self.beta = weight("beta", "zeros", True)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False, valid: Any = None) -> tf.Tensor:
        """Apply the layer to the inputs."""
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if not training or self.frozen:
            mean = tf.convert_to_tensor(self.moving_mean)
            variance = tf.convert_to_tensor(self.moving_variance)
            outputs, *_ = _fused(inputs, gamma, beta, self.epsilon, mean, variance)
            return self.activate(outputs)
        if valid is not None:
            valid = tf.cast(valid, tf.bool)
        alone = _pending.moments is not None or (
            tf.distribute.get_strategy().num_replicas_in_sync == 1
        )
        if alone and (valid is None or valid.shape.rank == 0):
            outputs, mean, variance = _fused(inputs, gamma, beta, self.epsilon)
            count = _count(inputs, valid)
        else:
            moments = _own_moments(inputs, valid)
            moments = moments[tf.newaxis] if alone else of_each_replica(moments)
            mean, variance, count = _pooled(moments)
            outputs = _normalize_by_moments(
                inputs, gamma, beta, self.epsilon, (mean, variance, count), valid, alone
            )
        if _pending.moments is None:
            self.update(mean, variance, count)
        else:
            own = tf.stack([count * tf.ones_like(mean), mean, variance])
            _pending.moments.append((self, tf.stop_gradient(own)))
        return self.activate(outputs)

    def activate(self, outputs: tf.Tensor) -> tf.Tensor:
        """Apply the activation."""
        return outputs if self.activation is None else tf.nn.relu(outputs)

    def update(self, mean: tf.Tensor, variance: tf.Tensor, count: tf.Tensor) -> None:
        """Update the moving statistics with a batch's, unless the batch has no values."""
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = tf.convert_to_tensor(moving)
            batch = tf.stop_gradient(batch)
            new = self.momentum * old + (1.0 - self.momentum) * batch
            moving.assign(tf.where(count > 0, new, old))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, without `activation` if it is None.

        This keeps the configurations, and hence the fingerprints, of models that were saved before
        the argument existed.
        """
        config = {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
        return config if self.activation is None else {**config, "activation": self.activation}


def _fused(
    inputs: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    mean: tf.Tensor | None = None,
    variance: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalize in one pass, with the given moments or those of the inputs.

    Returns:
      The outputs, and the mean and biased variance used.
    """
    folded = tf.reshape(inputs, _image_shape(inputs))
    given = mean is not None
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        folded, gamma, beta, mean, variance, epsilon=epsilon, is_training=not given
    )
    if not given:
        # The kernel returns the unbiased variance; the released models keep the biased variance.
        count = _count(inputs)
        variance *= (count - 1.0) / tf.maximum(count, 1.0)
    return tf.reshape(outputs, known_sizes(inputs)), mean, variance


def _image_shape(inputs: tf.Tensor) -> list[int]:
    """Return a 4-D shape, one row per image if sizes are known, because rows run in parallel."""
    sizes = inputs.shape[1:-1].as_list()[-2:]
    rows = [1, -1] if None in sizes else [-1, math.prod(sizes)]
    return [*rows, 1, inputs.shape[-1]]


def _count(inputs: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
    """Return the number of values per channel as float32; 0 if the scalar `valid` is False."""
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
    return count if valid is None else tf.where(valid, count, 0.0)


def _own_moments(inputs: tf.Tensor, valid: tf.Tensor | None) -> tf.Tensor:
    """Return the count, mean and biased variance of this replica's valid rows, [3, C]."""
    whole = valid is None or valid.shape.rank == 0
    own = inputs if whole else tf.boolean_mask(inputs, valid)
    ones, zeros = tf.ones(inputs.shape[-1]), tf.zeros(inputs.shape[-1])
    # A scalar `valid` needs no copy of the valid rows.
    count = _count(own, valid if whole else None)
    _, mean, variance = _fused(own, ones, zeros, 0.0)
    # Without any values, the kernel returns NaN.
    mean, variance = (tf.where(count > 0, moment, 0.0) for moment in (mean, variance))
    return tf.stack([count * ones, mean, variance])


def _pooled(moments: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the mean, biased variance and count of all rows, from [replicas, 3, C].

    They are combined from each replica's mean and variance, because sums of squares lose digits.
    """
    counts, means, variances = tf.unstack(moments, axis=1)
    total = tf.reduce_sum(counts, axis=0)
    divisor = tf.maximum(total, 1.0)
    mean = tf.reduce_sum(counts * means, axis=0) / divisor
    variance = tf.reduce_sum(counts * (variances + tf.square(means - mean)), axis=0) / divisor
    return mean, variance, total[0]


def _normalize_by_moments(
    inputs: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    epsilon: float,
    moments: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    valid: tf.Tensor | None,
    alone: bool,
) -> tf.Tensor:
    """Normalize with a gradient through the moments, using one exchange between replicas."""
    mean, variance, count = moments

    @tf.custom_gradient
    def normalize(inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            shape = _image_shape(inputs)
            direct, by_gamma, by_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=tf.reshape(upstream, shape),
                x=tf.reshape(inputs, shape),
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.constant([]),
                epsilon=epsilon,
                is_training=False,
            )
            direct = tf.reshape(direct, known_sizes(inputs))
            # The gradients with respect to each replica's gamma and beta, summed, suffice for the
            # moments' part, which is linear in the normalized inputs.
            sums = tf.stack([by_gamma, by_beta])
            sums = sums if alone else sum_over_replicas(sums)
            slope, offset = tf.unstack(
                sums * gamma * tf.math.rsqrt(variance + epsilon) / tf.maximum(count, 1.0)
            )
            # Invalid rows do not affect the moments.
            if valid is not None and valid.shape.rank == 0:
                slope, offset = (tf.where(valid, factor, 0.0) for factor in (slope, offset))
            through, *_ = _fused(inputs, slope, offset, epsilon, mean, variance)
            if valid is not None and valid.shape.rank == 1:
                rows = tf.reshape(valid, [-1] + [1] * (inputs.shape.rank - 1))
                through = tf.where(rows, through, tf.zeros_like(through))
            return direct - through, by_gamma, by_beta

        return _fused(inputs, gamma, beta, epsilon, mean, variance)[0], gradient

    return normalize(inputs, gamma, beta)
