# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where training runs: one device, or all of a machine's."""

from __future__ import annotations

import tensorflow as tf

STRATEGIES = ("one_device", "mirrored")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """A `tf.distribute` strategy by its name.

    Args:
      name: "one_device" (the first accelerator, else the processor) or "mirrored" (every
        accelerator of this machine).

    Raises:
      ValueError: for another name.
    """
    if name == "one_device":
        device = "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"
        return tf.distribute.OneDeviceStrategy(device)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    raise ValueError(f"strategy is {name!r}; use one of {STRATEGIES}.")
