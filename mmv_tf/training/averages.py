# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exponential moving averages of weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


class WeightAverages:
    """averages <- decay * averages + (1 - decay) * weights, after each step.

    The decay rises to its value as (1 + steps) / (10 + steps), so that the random first weights
    are soon forgotten.

    Args:
      weights: trainable variables.
      decay: in (0, 1), such as 0.999.

    Raises:
      ValueError: for another decay.
    """

    def __init__(self, weights: Sequence[tf.Variable], decay: float):
        if not 0.0 < decay < 1.0:
            raise ValueError(f"average_decay is {decay}; it must be between 0 and 1.")
        self._weights = list(weights)
        self._decay = decay
        self.variables = [
            tf.Variable(
                weight.numpy(),
                trainable=False,
                dtype=weight.dtype,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for weight in self._weights
        ]

    def update(self, step: tf.Tensor) -> None:
        """Takes the weights in after `step` steps; called in replica context."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self.variables, self._weights, strict=True):
            old = tf.convert_to_tensor(average)
            average.assign(old - (1.0 - decay) * (old - tf.convert_to_tensor(weight)))

    @contextlib.contextmanager
    def in_place_of_weights(self) -> Iterator[None]:
        """Inside, the network has the averages; afterwards its weights again."""
        weights = [weight.numpy() for weight in self._weights]
        self.put_in_place()
        try:
            yield
        finally:
            for variable, weight in zip(self._weights, weights, strict=True):
                variable.assign(weight)

    def put_in_place(self) -> None:
        """Gives the network the averages for good."""
        for variable, average in zip(self._weights, self.variables, strict=True):
            variable.assign(average.numpy())
