# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""End of Python while datasets that call Python still read ahead."""

from __future__ import annotations

import atexit
import functools
import gc

import tensorflow as tf


@functools.cache
def end_iterators_at_exit() -> None:
    """End all iterators when Python exits; for datasets that call Python."""
    atexit.register(_end_iterators)


def _end_iterators() -> None:
    """End all iterators of datasets, and wait for pending calls.

    Otherwise Python, at exit, kills TensorFlow's threads that run Python code, and TensorFlow,
    which waits for them, aborts or hangs. This happened in half of the programs that ended while an
    iterator read ahead. Waiting for a moment without calls was not enough.
    """
    for thing in gc.get_objects():
        if issubclass(type(thing), tf.data.Iterator):
            # There is no public way; deleting the iterator does the same.
            thing._iterator_resource = None
    gc.collect()
