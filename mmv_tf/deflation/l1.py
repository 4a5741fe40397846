# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Later stages of the fit: gradient descent on the L1 distance."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.image_encoder import main_output
from mmv_tf.deflation.probes import NormPair
from mmv_tf.util.progress import Progress


def norm_variables(pairs: Sequence[NormPair]) -> list[keras.Variable]:
    """Return the gamma and beta of batch norms, the variables that MMV trains."""
    norms = {id(pair.image): pair.image for pair in pairs}.values()
    return [v for norm in norms for v in (norm.gamma, norm.beta) if v is not None]


def pointwise_kernels(network: keras.Model) -> list[keras.Variable]:
    """Return kernels and biases of the 1x1 convolutions that the representation depends on (ours).

    In a deflated separable network these include the former convolutions over time.
    """
    features = keras.Model(network.input, main_output(network.output))
    return [
        variable
        for layer in features.layers
        if isinstance(layer, keras.layers.Conv2D) and tuple(layer.kernel_size) == (1, 1)
        for variable in layer.trainable_variables
    ]


def fit_l1(
    network: keras.Model,
    variables: Sequence[keras.Variable],
    images: np.ndarray,
    targets: np.ndarray,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    what: str,
) -> None:
    """Train with Adam and a cosine schedule, on batches sampled without replacement in each epoch.

    Args:
      network: the image model.
      variables: the variables to train, see `norm_variables` and `pointwise_kernels`.
      images, targets: float32 [N, H, W, C] and the original's representations [N, d].
      steps, batch_size, learning_rate, seed: training settings.
      what: name of the trained variables, for the progress bar.
    """
    batch_size = min(batch_size, len(images))
    if steps == 0:
        return
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(batch: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            features = main_output(network(batch, training=False))
            loss = tf.reduce_mean(tf.abs(tf.cast(features, tf.float32) - target))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    generator = np.random.default_rng(seed)
    order = np.zeros(0, np.int64)
    with Progress(steps, f"fit {what}", "steps") as progress:
        for _ in range(steps):
            if len(order) < batch_size:
                order = generator.permutation(len(images))
            chosen, order = order[:batch_size], order[batch_size:]
            loss = step(tf.constant(images[chosen]), tf.constant(targets[chosen]))
            progress.update(1, l1=float(loss))
