# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads pickles of nested dicts of arrays with `pickle_machine`, without unpickling them."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmv_tf.pretrained import pickle_names
from mmv_tf.pretrained.pickle_machine import MAX_STEPS, Machine
from mmv_tf.pretrained.pickle_names import Dialect, RefusedError
from mmv_tf.util.files import check_regular

_ARRAYS = Dialect({**pickle_names.ARRAYS, **pickle_names.FLAVOURS}, "plain dicts of arrays")


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a pickle of (nested) dicts of arrays, safely.

    The file may have been written by `pickle` (protocols 0-5) or `dill`, with NumPy 1 or 2, and may
    contain NumPy or jax arrays and Python or Haiku mappings. dill, jax and Haiku need not be
    installed.

    Args:
      path: the file.

    Returns:
      The outermost dict. Its leaves are read-only arrays over the mapped file: copy those that must
      survive a change to the file.

    Raises:
      RefusedError: a ValueError that names what was found, and where.
      OSError: the file can't be read.
    """
    data = map_file(path, "a pickled checkpoint")
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raise RefusedError(
            f"{os.fspath(path)} is a zip file, not a pickle; extract the checkpoint first "
            "(a .keras file is read with `mmv_tf.load_model`)."
        )
    machine = Machine(data, _ARRAYS)
    with explained(path, machine):
        tree = _finish(machine.run())
        if machine.position != len(data):
            raise RefusedError(f"{len(data) - machine.position} bytes follow the end of the pickle")
    if not isinstance(tree, dict):
        raise RefusedError(
            f"{os.fspath(path)} holds a {type(tree).__name__}; expected a dict of arrays."
        )
    return tree


def forget_pages(array: np.ndarray) -> None:
    """Free the memory of a mapped file's pages; the file is read again where an array needs it."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    # Linux and macOS; other systems manage it themselves.
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def map_file(path: str | os.PathLike[str], holds: str) -> mmap.mmap:
    """Map a file into memory, read-only.

    Raises:
      RefusedError: the file is empty; the message says what it should hold.
      OSError: the file can't be read.
    """
    if check_regular(path) == 0:
        raise RefusedError(f"{os.fspath(path)} is empty; expected {holds}.")
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextlib.contextmanager
def explained(path: str | os.PathLike[str], machine: Machine, where: str = "") -> Iterator[None]:
    """Turn a program's errors into a RefusedError that names the file and the position."""
    try:
        yield
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        reason = str(error) if isinstance(error, RefusedError) else f"it is damaged ({error})"
        raise RefusedError(
            f"{os.fspath(path)}, {where}byte {machine.start}: {reason}. Nothing was executed; only "
            f"{machine.dialect.holds} are read."
        ) from error


def _finish(value: Any) -> Any:
    """Return dicts with arrays in place of their stand-ins."""
    entries = 0

    def finish(value: Any, depth: int) -> Any:
        nonlocal entries
        entries += 1
        if entries > MAX_STEPS:
            raise RefusedError(f"the pickle holds more than {MAX_STEPS} items")
        if type(value) is dict and depth < 8:
            return {key: finish(item, depth + 1) for key, item in value.items()}
        if type(value) is pickle_names.Array and value.array is not None:
            return value.array
        if type(value) is np.ndarray:
            return value
        if type(value) in (bool, int, float):
            return np.asarray(value)
        raise RefusedError(
            f"{pickle_names.describe(value)} instead of an array or a dict is not allowed"
        )

    return finish(value, 0)
