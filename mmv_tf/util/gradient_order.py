# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Adds up the gradients of a tensor's uses in a fixed order."""

from __future__ import annotations

import tensorflow as tf


def copies(tensor: tf.Tensor, count: int) -> list[tf.Tensor]:
    """A tensor for each of its uses, so that a run can repeat bit for bit.

    Three or more gradients of one tensor meet in TensorFlow's AddN, whose order depends on which of
    their buffers is free first, with op determinism too; and floats added in another order give
    another last digit. Here they are added two at a time. (Outside deterministic mode TensorFlow's
    arithmetic optimizer makes one AddN of these sums again, which is faster.)

    Args:
      tensor: any float tensor.
      count: how often it is used.

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
