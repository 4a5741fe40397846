# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks shared by the checkpoint importers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def checked_values(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a float32 copy of a checkpoint's array.

    Args:
      name: the array's name, for error messages.
      array: the array as read; floats of any size and byte order.
      shape: the expected shape.

    Raises:
      ValueError: the shape or dtype is not as expected, or a value is not finite.
    """
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}.")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is {array.dtype}; expected floating-point numbers.")
    values = np.array(array, np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite.")
    return values


def some(names: Iterable[object], limit: int = 5) -> str:
    """Return the first few of many names, as text for an error message."""
    listed = [repr(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "nothing") + more
