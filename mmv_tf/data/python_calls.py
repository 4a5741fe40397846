# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What it takes to compute in Python, on all cores, what a TensorFlow graph asks for."""

from __future__ import annotations

import atexit
import concurrent.futures
import functools
import gc
import os
import weakref
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

Place: TypeAlias = tuple[int, ...]

# TensorFlow takes an array over without copying it if it begins at a multiple of so many bytes.
_ALIGNMENT = 64


class Memory:
    """Memory for results, which is used again once TensorFlow has let go of it.

    Fresh memory costs a tenth of the whole: the kernel fills it with zeros.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 of any values, for a `tf.numpy_function` to return."""
        count = int(np.prod(shape))
        memory = self._free.pop() if self._free else _aligned(count)
        if memory.size != count:  # A last, smaller batch; it won't come back soon.
            memory = _aligned(count)
        lent = memory.reshape(shape)
        # TensorFlow holds this very array for as long as there is a tensor of it.
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return lent


def _aligned(count: int) -> np.ndarray:
    """Float32 [count] that TensorFlow takes over without copying."""
    memory = np.empty(4 * count + _ALIGNMENT, np.uint8)
    skipped = -memory.ctypes.data % _ALIGNMENT
    return memory[skipped : skipped + 4 * count].view(np.float32)


def on_all_cores(make: Callable[[Place], None], places: Sequence[Place]) -> bool:
    """Calls `make` for each place and raises what one of the calls raised.

    False if that can't be, since Python is about to end: TensorFlow reads ahead until the very end,
    for nobody to see, and an error would be written to the terminal.
    """
    try:
        pending = [_threads().submit(make, place) for place in places]
    except RuntimeError:
        return False
    for call in pending:
        call.result()
    return True


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    """One pool for the process; what it is given should not hold Python's lock for long."""
    atexit.register(_end_iterators)
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "mmv_tf")


def _end_iterators() -> None:
    """Ends all iterators of datasets, and waits for the calls that are under way.

    Left to the end of Python itself, a thread of TensorFlow's that is in Python then is killed, and
    TensorFlow, which waits for it, aborts or hangs: seen in half of the programs that ended while
    an iterator read ahead. To wait until none calls for a moment did not suffice.
    """
    for thing in gc.get_objects():
        if issubclass(type(thing), tf.data.Iterator):
            # There is no public way; it is what happens when the iterator itself goes.
            thing._iterator_resource = None
    gc.collect()
