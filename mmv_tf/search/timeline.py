# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The score along a video, as a picture that can be clicked."""

from __future__ import annotations

import numpy as np

_WIDTH, _HEIGHT = 600, 48
_MOST_POINTS = 300


def curve_svg(
    scores: np.ndarray, spans: np.ndarray, duration: float, start: float, end: float
) -> str:
    """An SVG made of numbers only, safe to put in a page.

    Args:
      scores: float32 [n], -inf for windows that can't be found.
      spans: float32 [n, 2], seconds.
      duration: of the video, seconds.
      start, end: of the moment, which is marked.
    """
    duration = max(float(duration), 0.1)
    there = np.isfinite(scores)
    middles, values = spans[there].mean(axis=1), scores[there]
    if len(values) > _MOST_POINTS:
        # The highest of neighbours, so that no peak gets lost.
        groups = np.array_split(np.arange(len(values)), _MOST_POINTS)
        tops = [group[np.argmax(values[group])] for group in groups]
        middles, values = middles[tops], values[tops]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    x = np.clip(middles / duration, 0, 1) * _WIDTH
    y = _HEIGHT - 4 - (values - low) / max(high - low, 1e-6) * (_HEIGHT - 8)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    left, right = (min(max(time / duration, 0.0), 1.0) * _WIDTH for time in (start, end))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" width="100%" '
        f'height="{_HEIGHT}" aria-hidden="true">'
        f'<rect class="moment-mark" x="{left:.1f}" y="0" width="{max(right - left, 2):.1f}" '
        f'height="{_HEIGHT}"/><polyline class="moment-curve" points="{points}"/></svg>'
    )
