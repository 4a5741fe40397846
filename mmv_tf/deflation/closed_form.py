# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""First stage of the fit: the best gamma and beta of each batch norm in turn, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.deflation.probes import NormPair, at_places
from mmv_tf.util.keras_networks import replaced_calls

# Ours. Which inputs pass a ReLU depends on gamma and beta, so least squares is repeated.
_ROUNDS = 8


def fit_closed_form(
    network: Any, pairs: Sequence[NormPair], maps: Mapping[str, np.ndarray], images: np.ndarray
) -> None:
    """Fit the batch norms in place.

    For each channel, gamma and beta minimize the squared distance, over images and positions,
    between the activated output and the mean over time of the original's output on static clips: if
    a later linear layer averages over time, only this mean matters to it. One pass through the
    network fits all batch norms in turn, each on inputs from layers already fitted.

    Args:
      network: the image model, a functional Keras model.
      pairs: the model's batch norms.
      maps: `Original.maps` for `images`.
      images: float32 [n, H, W, C].
    """

    def fit(pair: NormPair) -> Callable[..., Any]:
        call = pair.image.call
        pending = True

        def wrapped(inputs: tf.Tensor, *args: Any, **kwargs: Any) -> Any:
            nonlocal pending
            if pending:  # a layer that is used twice is fitted at its first use
                pending = False
                _fit_one(pair, at_places(tf.cast(inputs, tf.float32)), maps[pair.name])
            return call(inputs, *args, **kwargs)

        return wrapped

    with replaced_calls([(pair.image, fit(pair)) for pair in pairs]):
        network(tf.constant(images), training=False)


def _fit_one(pair: NormPair, inputs: tf.Tensor, targets: np.ndarray) -> None:
    norm = pair.image
    channels = inputs.shape[-1]
    x = tf.reshape(inputs, [-1, channels])
    y = tf.reshape(tf.constant(targets), [-1, channels])
    # y = gamma (x - moving mean) / sqrt(moving variance + epsilon) + beta
    deviation = np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    normalised = (x - norm.moving_mean.numpy()) / deviation
    start = norm.gamma.numpy(), norm.beta.numpy()
    if pair.rectified:
        gamma, beta = rectified_least_squares(normalised, y, start)
    elif pair.activation is None:
        gamma, beta = (part.numpy() for part in _line(normalised, y, tf.ones_like(y), start))
    else:
        return  # other activations have no closed form; the next stage trains it
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)


def rectified_least_squares(
    x: tf.Tensor, y: tf.Tensor, start: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the g, b per channel that minimize sum (relu(g x + b) - y)^2, or `start` if better.

    Repeats least squares over the points that pass the ReLU, and keeps the best fit of each
    channel.

    Args:
      x, y: float32 [N, C].
      start: initial g and b, [C] each.

    Returns:
      g and b, float32 [C].
    """
    gamma, beta = _rectified_rounds(x, y, tf.constant(start[0]), tf.constant(start[1]))
    return gamma.numpy(), beta.numpy()


# Traced once for layers of all sizes.
@tf.function(
    input_signature=[tf.TensorSpec([None, None])] * 2 + [tf.TensorSpec([None])] * 2,
    autograph=False,
)
def _rectified_rounds(
    x: tf.Tensor, y: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    def loss(g: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.square(tf.nn.relu(g * x + b) - y), 0)

    best_gamma, best_beta, least = gamma, beta, loss(gamma, beta)
    for _ in range(_ROUNDS):
        passed = tf.cast(gamma * x + beta > 0, x.dtype)
        gamma, beta = _line(x, y, passed, (gamma, beta))
        found = loss(gamma, beta)
        better = found < least
        best_gamma = tf.where(better, gamma, best_gamma)
        best_beta = tf.where(better, beta, best_beta)
        least = tf.minimum(found, least)
    return best_gamma, best_beta


def _line(
    x: tf.Tensor, y: tf.Tensor, weights: tf.Tensor, otherwise: tuple[Any, Any]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return each column's weighted least-squares line, or `otherwise` where x is constant."""
    count = tf.reduce_sum(weights, 0)
    divisor = tf.maximum(count, 1.0)
    mean_x = tf.reduce_sum(weights * x, 0) / divisor
    mean_y = tf.reduce_sum(weights * y, 0) / divisor
    centred = weights * (x - mean_x)
    variance = tf.reduce_sum(tf.square(centred), 0) / divisor
    covariance = tf.reduce_sum(centred * (y - mean_y), 0) / divisor
    usable = (count > 8) & (variance > 1e-6)
    slope = tf.where(usable, covariance / tf.maximum(variance, 1e-12), otherwise[0])
    offset = tf.where(usable, mean_y - slope * mean_x, otherwise[1])
    return slope, offset
