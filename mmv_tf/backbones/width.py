# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Channel counts of networks narrower or wider than the paper's."""

from __future__ import annotations


def scale_channels(channels: int, width: float) -> int:
    """`channels * width`, to the nearest multiple of 4 and at least 4."""
    return max(4, 4 * round(channels * width / 4))
