# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks a model's inputs: dtype, NaN and range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Ours: tolerance for rounding at the bounds of a range.
RANGE_TOLERANCE = 1e-3
# Ours: overshoot of resizing with a bicubic or Lanczos kernel beyond the range of its input.
OVERSHOOT = 0.1
_NAMED = 5  # Ours: number of items that a message names.


def check_windows(modality: str, windows: np.ndarray) -> None:
    """Check windows from `evaluation.views` before they reach a model.

    Args:
      modality: "video", "image" or "audio"; others are not checked.
      windows: pixels, uint8; or waveforms, floats in [-1, 1].

    Raises:
      ValueError: the dtype is wrong, or values are not finite or out of range.
    """
    if modality in ("video", "image"):
        if windows.dtype != np.uint8:
            raise ValueError(
                f"The {modality} is {windows.dtype}{_reach(windows)}; expected uint8 from 0 to "
                "255; multiply colors from 0 to 1 by 255 and round them."
            )
    elif modality == "audio":
        hint = "expected floats from -1 to 1; divide 16-bit samples by 32768."
        if windows.dtype.kind != "f":
            raise ValueError(f"The audio is {windows.dtype}{_reach(windows)}; {hint}")
        largest = float(np.abs(windows).max(initial=0.0))  # NaN if any value is NaN.
        if not np.isfinite(largest):
            raise ValueError(
                "The audio holds values that are not finite (NaN or infinity); expected floats "
                "from -1 to 1; find them with np.isfinite."
            )
        if largest > 1 + RANGE_TOLERANCE:
            raise ValueError(f"The audio's values reach {largest:g}; {hint}")


def _reach(values: np.ndarray) -> str:
    if values.dtype.kind not in "iuf" or not values.size:
        return ""
    return f" with values that reach {float(np.abs(values).max()):g}"


def faulty_rows(modality: str, values: tf.Tensor) -> tf.Tensor:
    """Return which rows of a model's input are invalid; works in traced functions too.

    Args:
      modality: "video" ([0, 1], with `OVERSHOOT`), "audio" (finite), or "text", which always
        passes.
      values: [B, ...].

    Returns:
      [B] booleans.
    """
    rows = tf.shape(values)[0]
    if not values.dtype.is_floating:
        return tf.zeros([rows], tf.bool)
    flat = tf.reshape(values, [rows, -1])
    if modality == "video":
        # Comparisons with NaN are false.
        least, most = tf.reduce_min(flat, axis=1), tf.reduce_max(flat, axis=1)
        inside = (least >= -OVERSHOOT) & (most <= 1 + OVERSHOOT)
        return ~(inside & tf.math.is_finite(tf.reduce_sum(flat, axis=1)))
    return ~tf.math.is_finite(tf.reduce_sum(flat, axis=1))


def refuse_faulty(modality: str, faulty: np.ndarray, names: Sequence[str]) -> None:
    """Raise a ValueError that counts and names the rows that `faulty_rows` found, if any."""
    found = [name for name, wrong in zip(names, faulty, strict=True) if wrong]
    if not found:
        return
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    expected = "finite values from 0 to 1" if modality == "video" else "finite values"
    raise ValueError(
        f"The {modality} of {len(found)} of {len(names)} clips is invalid "
        f"(expected {expected}): {', '.join(found[:_NAMED])}{more}. Check the data with "
        "mmv verify_data."
    )
