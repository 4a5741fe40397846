# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Dynamic loss scaling, without which float16 gradients vanish."""

from __future__ import annotations

import tensorflow as tf

# Micikevicius et al., arXiv 1710.03740, and Keras' LossScaleOptimizer.
_INITIAL = 2.0**15
_GROWTH_STEPS = 2000


class LossScale:
    """What the loss is multiplied by before differentiation.

    Halved when a gradient overflows, which drops that step; doubled after 2000 steps without.

    Args:
      initial: the first scale.
      growth_steps: steps without overflow until it is doubled.
    """

    def __init__(self, initial: float = _INITIAL, growth_steps: int = _GROWTH_STEPS):
        self._growth_steps = growth_steps
        self.scale = _variable(initial, tf.float32)
        self.good_steps = _variable(0, tf.int64)
        self.variables = [self.scale, self.good_steps]

    def update(self, finite: tf.Tensor) -> None:
        """Called once a step, in replica context."""
        scale, good = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.good_steps)
        grow = good + 1 >= self._growth_steps
        higher = tf.where(grow, scale * 2.0, scale)
        # A doubling beyond float32's range would never come back.
        higher = tf.where(tf.math.is_finite(higher), higher, scale)
        self.scale.assign(tf.where(finite, higher, tf.maximum(scale / 2.0, 1.0)))
        self.good_steps.assign(tf.where(finite & ~grow, good + 1, 0))


def _variable(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(
        value,
        trainable=False,
        dtype=dtype,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
