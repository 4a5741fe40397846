# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""LARS (You et al., arXiv 1708.03888), for batches too large for Adam."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("mmv_tf")
class LARS(keras.optimizers.Optimizer):
    """Momentum, with the step of each layer scaled by the size of its weights.

        g' = g + decay * w
        v <- momentum * v + learning_rate * trust * |w| / (|g| + decay * |w|) * g'
        w <- w - v

    Vectors and scalars (biases, and the scales and offsets of batch norm) are left out of decay and
    scaling and get plain momentum, as is usual.

    Args:
      learning_rate: a number or a schedule.
      momentum: in [0, 1).
      decay: of weights; part of the gradient, not apart from it as in AdamW.
      trust: the coefficient of the scaling, "eta" in the paper.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        decay: float = 0.0,
        trust: float = 1e-3,
        name: str = "lars",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.decay = decay
        self.trust = trust

    def build(self, variables: list[Any]) -> None:
        """Creates one velocity for each variable."""
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """One variable's update."""
        velocity = self.velocities[self._get_variable_index(variable)]
        rate = tf.cast(learning_rate, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype)
        if variable.shape.rank > 1:
            weight_norm, gradient_norm = tf.norm(variable), tf.norm(gradient)
            divisor = gradient_norm + self.decay * weight_norm
            usable = (weight_norm > 0) & (divisor > 0)
            rate *= tf.where(usable, self.trust * weight_norm / tf.where(usable, divisor, 1.0), 1.0)
            gradient += self.decay * variable
        step = self.momentum * tf.convert_to_tensor(velocity) + rate * gradient
        self.assign(velocity, step)
        self.assign_sub(variable, step)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        own = {"momentum": self.momentum, "decay": self.decay, "trust": self.trust}
        return {**super().get_config(), **own}
