# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Multi-layer perceptron on frozen features, for exclusive classes or multiple labels."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.evaluation.declaration import MLPClassifier
from mmv_tf.evaluation.linear_svm import standardization
from mmv_tf.util.progress import progress


class MLP:
    """Multi-layer perceptron, trained at construction.

    Args:
      features: float [N, D].
      targets: [N, classes]: 1 for yes, 0 for no, -1 to exclude the row for that class.
      declared: sizes and schedule.
      exclusive: whether classes are mutually exclusive (softmax) or independent (sigmoid).
      seed: seed for the weights and the order.
    """

    def __init__(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        declared: MLPClassifier,
        exclusive: bool,
        seed: int = 0,
    ):
        features = np.asarray(features, np.float32)
        if not np.isfinite(features).all():
            raise ValueError("The features contain values that are not finite.")
        self._mean, self._scale = standardization(features)
        initializers = iter(range(seed, seed + len(declared.hidden) + 1))

        def dense(size: int, activation: str | None) -> keras.layers.Layer:
            initializer = keras.initializers.GlorotUniform(next(initializers))
            return keras.layers.Dense(
                size, activation, kernel_initializer=initializer, dtype="float32"
            )

        self._layers: list[keras.layers.Layer] = []
        for number, size in enumerate(declared.hidden):
            self._layers.append(dense(size, "relu"))
            self._layers.append(
                keras.layers.Dropout(declared.dropout, seed=seed + number, dtype="float32")
            )
        self._layers.append(dense(targets.shape[1], None))
        self._train(features, np.asarray(targets, np.float32), declared, exclusive, seed)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return logits, float32 [N, classes]."""
        features = np.asarray(features, np.float32)
        parts = [
            self._logits(tf.constant(self._standard(features[start : start + 4096])), False).numpy()
            for start in range(0, len(features), 4096)
        ]
        return np.concatenate(parts)

    def _standard(self, features: np.ndarray) -> np.ndarray:
        return (features - self._mean) / self._scale

    def _logits(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        for layer in self._layers:
            x = layer(x, training=training) if isinstance(layer, keras.layers.Dropout) else layer(x)
        return x

    def _train(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        declared: MLPClassifier,
        exclusive: bool,
        seed: int,
    ) -> None:
        count = len(features)
        size = min(declared.batch_size, count)
        steps = -(-count // size)
        self._logits(tf.zeros([1, features.shape[1]]), False)  # creates the weights
        weights = [weight for layer in self._layers for weight in layer.trainable_weights]
        optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(declared.learning_rate, declared.epochs * steps),
            weight_decay=declared.weight_decay,
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(weights)

        @tf.function(reduce_retracing=True, autograph=False)
        def step(x: tf.Tensor, y: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                logits = self._logits(x, True)
                if exclusive:
                    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
                else:
                    known = tf.cast(y >= 0, tf.float32)
                    errors = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(y, 0.0), logits)
                    loss = tf.reduce_sum(errors * known) / tf.maximum(tf.reduce_sum(known), 1.0)
            values = [weight.value for weight in weights]
            optimizer.apply(tape.gradient(loss, values), weights)

        generator = np.random.default_rng(seed)
        for _ in progress(range(declared.epochs), "train the classifier", "epochs"):
            order = generator.permutation(count)
            for start in range(0, count, size):
                rows = order[start : start + size]
                step(tf.constant(self._standard(features[rows])), tf.constant(targets[rows]))
