# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments, groups of neighboring windows with similar scores, and curves of scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

# Windows with lower scores allowed inside a moment: as windows overlap, a moment may span one.
_DIP = 1


@dataclasses.dataclass(frozen=True)
class Moment:
    """A part of a video.

    Attributes:
      video: name of the video inside the root of the index.
      start, end: times in seconds.
      score: score of the best window, from -1 to 1.
      best: start of the best window in seconds.
    """

    video: str
    start: float
    end: float
    score: float
    best: float


# A video's windows by time: scores float32 [n] (-inf: can't be found) and spans float32 [n, 2].
Scored = tuple[np.ndarray, np.ndarray]


def find_moments(
    candidates: Iterable[tuple[str, int]], windows_of: Callable[[str], Scored], limit: int
) -> list[Moment]:
    """Return the best moments that do not overlap.

    A moment is a window and its neighbors on both sides whose scores are at least half way (ours)
    between the video's mean and that of the window; single windows may score less.

    Args:
      candidates: (video, window) by falling score.
      windows_of: function that returns all windows of a video.
      limit: most moments.

    Returns:
      Moments, best first; fewer than `limit` if there are not enough candidates.
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
        # Windows overlap, so those beside the moment reach into it.
        taken[video] |= (spans[:, 0] < end) & (spans[:, 1] > start)
    # A score can differ in the last digit from that by which the candidates were sorted.
    return sorted(moments, key=lambda moment: -moment.score)


def _extent(scores: np.ndarray, taken: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the first and last window of the moment around a peak."""
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
    """Return an SVG with the curve of scores; it consists of numbers, and so is safe in a page.

    Args:
      scores: float32 [n], -inf for windows that can't be found.
      spans: float32 [n, 2], in seconds.
      duration: duration of the video in seconds.
      start, end: times of the moment to mark.
    """
    duration = max(float(duration), 0.1)
    there = np.isfinite(scores)
    middles, values = spans[there].mean(axis=1), scores[there]
    if len(values) > _MOST_POINTS:
        # The maximum of neighbors, to keep all peaks.
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
