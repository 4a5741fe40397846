# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Adam in one pass over a variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("mmv_tf")
class OnePassAdam(keras.optimizers.Adam):
    """Keras' Adam, with decay or without, by TensorFlow's own kernel.

    Keras' takes a dozen operations a variable, each a pass over memory or a scalar's scheduling;
    this takes one. Its variables are the same, so that checkpoints serve both; its numbers differ
    in the last bits.
    """

    def apply(self, grads: Sequence[tf.Tensor], trainable_variables: Any = None) -> None:
        """One step of all variables."""
        step = tf.cast(self.iterations + 1, tf.float32)
        # Once for all variables.
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        beta_1_power, beta_2_power = (tf.cast(power, dtype) for power in self._powers)
        # The handles are those of the replica that is updated.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
