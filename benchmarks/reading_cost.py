# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""CPU time of reading a clip, summed over all threads of the process."""

from __future__ import annotations

import time
from collections.abc import Callable

import tensorflow as tf


def cpu_per_clip(dataset: tf.data.Dataset, batch: int, clips: int) -> Callable[[], float]:
    """Return a function that reads more clips and returns the CPU seconds per clip.

    Args:
      dataset: endless batches.
      batch: clips per batch.
      clips: number of clips read per call.
    """
    iterator = iter(dataset)
    count = clips // batch
    for _ in range(max(2, 8 // batch)):  # traces, and fills the buffers
        next(iterator)
    _settle()

    def run() -> float:
        started = time.process_time()
        for _ in range(count):
            next(iterator)
        # Reading ahead counts towards this pipeline, not the next.
        _settle()
        return (time.process_time() - started) / (count * batch)

    return run


def _settle() -> None:
    """Wait until the read-ahead threads have filled their buffers."""
    for _ in range(20):
        before = time.process_time()
        time.sleep(0.05)
        if time.process_time() - before < 0.01:
            return
