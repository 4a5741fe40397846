# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sums the gradients of a tensor's uses in a fixed order."""

from __future__ import annotations

import tensorflow as tf


def copies(tensor: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Return one tensor per use, so that a run can be repeated bit for bit.

    TensorFlow's AddN sums three or more gradients of one tensor in the order in which buffers
    become free, even with op determinism, and the order of floats changes the last digit. Here they
    are summed two at a time. (Outside deterministic mode, TensorFlow's arithmetic optimizer turns
    these sums into one AddN again, which is faster.)

    Args:
      tensor: any float tensor.
      count: number of its uses.

    Returns:
      `count` tensors equal to it.
    """

    @tf.custom_gradient
    def identities(tensor: tf.Tensor) -> tuple[list[tf.Tensor], object]:
        def gradient(first: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
            total = first
            for other in others:
                total = total + other
            return total

        return [tf.identity(tensor) for _ in range(count)], gradient

    return identities(tensor)
