# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Evenly spaced choices from a sequence."""

from __future__ import annotations

import numpy as np


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Return at most `most` of `count` indices, evenly spaced, including the first and last.

    Args:
      count: length of the sequence; 0 gives no index.
      most: number of indices wanted, at least 1; a single one is the first.
    """
    return np.linspace(0, count - 1, min(most, count)).round().astype(int)
