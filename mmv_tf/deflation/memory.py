# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How much memory one forward pass takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def peak_memory(run: Callable[[tf.Tensor], Any], inputs: tf.Tensor) -> int | None:
    """Bytes that TensorFlow's allocator hands out at most during a call, beyond those before it.

    That is what the pass computes and its scratch space: weights and inputs are there before. The
    process's resident memory says less: the allocator keeps what it once had for later use.

    Args:
      run: a traced function; it is called twice, since the first call may set things up.
      inputs: its argument; tells the device.

    Returns:
      The bytes, or None where the device's allocator does not count.
    """
    device = ":".join(inputs.device.split(":")[-2:])
    run(inputs)
    try:
        before = tf.config.experimental.get_memory_info(device)["current"]
        tf.config.experimental.reset_memory_stats(device)
    except ValueError:
        return None
    outputs = run(inputs)
    keras.tree.map_structure(lambda value: value.numpy(), outputs)
    return tf.config.experimental.get_memory_info(device)["peak"] - before or None
