# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments: neighbouring windows that score alike, and the score along a video."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

# Windows that may score less inside a moment. They overlap, so the moment goes on over one of them.
_DIP = 1


@dataclasses.dataclass(frozen=True)
class Moment:
    """A stretch of a video.

    Attributes:
      video: its name inside the index's root.
      start, end: seconds.
      score: of its best window, from -1 to 1.
      best: where that window starts, seconds.
    """

    video: str
    start: float
    end: float
    score: float
    best: float


# A video's windows: scores float32 [n] (-inf: not there) and spans float32 [n, 2], by time.
Scored = tuple[np.ndarray, np.ndarray]


def find_moments(
    candidates: Iterable[tuple[str, int]], windows_of: Callable[[str], Scored], limit: int
) -> list[Moment]:
    """The best moments that do not overlap.

    A moment is a window and the neighbours on both sides, as long as they score no less than half
    way (ours) between the video's mean and the window; a single one may score less. What overlaps
    a better moment is no other.

    Args:
      candidates: (video, window) by falling score.
      windows_of: all windows of a video.
      limit: most moments.

    Returns:
      Moments, best first; fewer than `limit` if the candidates give no more.
    """
    known: dict[str, Scored] = {}
    taken: dict[str, np.ndarray] = {}
    moments: list[Moment] = []
    for video, peak in candidates:
        if len(moments) == limit:
            break
        if video not in known:
            known[video] = windows_of(video)
            taken[video] = ~np.isfinite(known[video][0])
        scores, spans = known[video]
        if taken[video][peak]:
            continue
        first, last = _extent(scores, taken[video], peak)
        start, end = float(spans[first, 0]), float(spans[first : last + 1, 1].max())
        moments.append(Moment(video, start, end, float(scores[peak]), float(spans[peak, 0])))
        # Windows overlap each other, so those beside the moment reach into it.
        taken[video] |= (spans[:, 0] < end) & (spans[:, 1] > start)
    # A score can differ in its last digit from the one that the candidates were sorted by.
    return sorted(moments, key=lambda moment: -moment.score)


def _extent(scores: np.ndarray, taken: np.ndarray, peak: int) -> tuple[int, int]:
    """First and last window of the moment around one."""
    there = scores[np.isfinite(scores)]
    least = (float(there.mean()) + float(scores[peak])) / 2

    def reach(step: int) -> int:
        at = peak
        while True:
            for ahead in range(1, _DIP + 2):
                following = at + step * ahead
                if not 0 <= following < len(scores) or taken[following]:
                    return at
                if scores[following] >= least:
                    at = following
                    break
            else:
                return at

    return reach(-1), reach(1)


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
