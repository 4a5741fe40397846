# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is refused of any medium."""

from __future__ import annotations

# Ours: of a decoded picture, and of its longer side to its shorter one.
MAX_PIXELS = 8192 * 8192
_MAX_ASPECT = 16


class MediaError(ValueError):
    """A video or its sound can't be decoded; the message is one line that names the file."""


def check_aspect(width: int, height: int, path: object) -> None:
    """Scaling the short side up must not make the long one endless."""
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise MediaError(
            f"{path}: the picture is {width} x {height}; expected sides within a ratio of "
            f"{_MAX_ASPECT}; crop it."
        )
