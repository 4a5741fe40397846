# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shuts Python down cleanly while datasets that call Python are still reading ahead."""

from __future__ import annotations

import atexit
import functools
import gc

import tensorflow as tf


@functools.cache
def end_iterators_at_exit() -> None:
    """Make Python end all iterators when it exits; needed for datasets that call Python."""
    atexit.register(_end_iterators)


def _end_iterators() -> None:
    """End all iterators of datasets, and wait for pending calls.

    Otherwise Python kills TensorFlow's threads that run Python code when it exits, and TensorFlow,
    which waits for them, aborts or hangs. This happened in half of the programs that ended while an
    iterator was reading ahead. Waiting for a moment without calls was not enough.
    """
    for thing in gc.get_objects():
        if issubclass(type(thing), tf.data.Iterator):
            # There is no public function for this; deleting the iterator does the same.
            thing._iterator_resource = None
    gc.collect()
