# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks of constructor arguments."""

from __future__ import annotations

import numbers


def check_sizes(**sizes: object) -> None:
    """Raises a ValueError that names the first value which is not a positive whole number."""
    for name, size in sizes.items():
        whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
        if not whole or size < 1:  # type: ignore[operator]
            raise ValueError(f"{name} is {size!r}; expected a positive whole number.")


def check_width(width: object) -> None:
    """Raises a ValueError unless the multiplier of channel counts is a positive, finite number."""
    if isinstance(width, bool) or not isinstance(width, float | int) or not 0 < width < 1e3:
        raise ValueError(f"width is {width!r}; expected a positive number, 1 for the paper's.")
