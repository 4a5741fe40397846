# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments: groups of neighboring windows around a peak of the score."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

# Ours: a moment reaches this many windows' lengths beyond its best window, on each side.
_REACH = 1.0
# Ours: an increase from the lowest score so far that starts another moment, as a fraction of the
# height of the peak above the video's mean.
_RISE = 0.1
# Ours: minimum cosine between the best windows of two moments that are shown as one.
ALIKE = 0.99


@dataclasses.dataclass(frozen=True)
class Place:
    """A part of a video: the video's name in the index, and times in seconds."""

    video: str
    start: float
    end: float


SEEN, HEARD, SAID = "seen", "heard", "said"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The reason why a moment was found.

    Attributes:
      kind: SEEN, HEARD or SAID.
      score: the best window's score, from -1 to 1; for speech, see `speech.Passage`.
      text: the speech; "" for other kinds.
      transcribed: whether the speech was transcribed by a model, and may be incorrect.
    """

    kind: str
    score: float
    text: str = ""
    transcribed: bool = False


@dataclasses.dataclass(frozen=True)
class Moment:
    """A part of a video around its best window.

    Attributes:
      video: the video's name in the index.
      start, end: times in seconds.
      score: the best window's score, from -1 to 1.
      best: the best window's start, in seconds.
      also: moments that look or sound the same and score no better, best first.
      found: evidence for the moment, if speech was searched.
      confidence: fraction of unrelated queries with a worse answer in the index, 0 to 1, see
        `confidence`; None if unknown, as for several queries together.
    """

    video: str
    start: float
    end: float
    score: float
    best: float
    also: tuple[Place, ...] = ()
    found: tuple[Evidence, ...] = ()
    confidence: float | None = None


# A video's windows in time order: scores float32 [n] (-inf if excluded), spans float32 [n, 2].
Scored = tuple[np.ndarray, np.ndarray]


def find_moments(
    candidates: Iterable[tuple[str, int]],
    windows_of: Callable[[str], Scored],
    limit: int,
    vector_of: Callable[[str, int], np.ndarray] | None = None,
) -> list[Moment]:
    """Return the best moments that do not overlap.

    A moment is a window and its neighbors on both sides whose scores are at least halfway (ours)
    between the video's mean and the window's score, up to one window's length away. If the score
    increases again, the moment ends where the score is lowest.

    Args:
      candidates: (video, window), highest score first.
      windows_of: function that returns all of a video's windows.
      limit: maximum number of moments.
      vector_of: function that returns a window's unit vector, float32 [D], to fold similar moments
        (`ALIKE`) into the best of them; None to fold none.

    Returns:
      Moments, best first; fewer than `limit` if there are not enough candidates.
    """
    known: dict[str, Scored] = {}
    taken: dict[str, np.ndarray] = {}
    moments: list[Moment] = []
    vectors: list[np.ndarray] = []
    for video, peak in candidates:
        if len(moments) == limit:
            break
        if video not in known:
            known[video] = windows_of(video)
            taken[video] = ~np.isfinite(known[video][0])
        scores, spans = known[video]
        if taken[video][peak]:
            continue
        first, last = _extent(scores, spans, taken[video], peak)
        start, end = float(spans[first, 0]), float(spans[first : last + 1, 1].max())
        # Windows overlap, so windows beside the moment extend into it.
        taken[video] |= (spans[:, 0] < end) & (spans[:, 1] > start)
        if vector_of is not None:
            vector = vector_of(video, peak)
            at = _like(vector, vectors)
            if at is not None:
                also = (*moments[at].also, Place(video, start, end))
                moments[at] = dataclasses.replace(moments[at], also=also)
                continue
            vectors.append(vector)
        moments.append(Moment(video, start, end, float(scores[peak]), float(spans[peak, 0])))
    # A score can differ in the last digit from the score by which the candidates were sorted.
    return sorted(moments, key=lambda moment: -moment.score)


def _like(vector: np.ndarray, others: list[np.ndarray]) -> int | None:
    """Return the index of the first similar vector, or None."""
    if not others:
        return None
    cosines = np.stack(others) @ vector
    at = int(np.argmax(cosines >= ALIKE))
    return at if cosines[at] >= ALIKE else None


def _extent(scores: np.ndarray, spans: np.ndarray, taken: np.ndarray, peak: int) -> tuple[int, int]:
    """Return the first and last window of the moment around a peak."""
    there = scores[np.isfinite(scores)]
    height = float(scores[peak]) - float(there.mean())
    least = float(scores[peak]) - height / 2
    # A thousandth of a window for rounded times.
    reach = (_REACH + 1e-3) * float(spans[peak, 1] - spans[peak, 0])

    def end(step: int) -> int:
        lowest = at = peak
        while True:
            at += step
            if not 0 <= at < len(scores) or taken[at] or scores[at] < least:
                return at - step
            if abs(float(spans[at, 0] - spans[peak, 0])) > reach:
                return at - step
            if scores[at] <= scores[lowest]:
                lowest = at
            elif scores[at] > scores[lowest] + _RISE * height:
                return lowest

    return end(-1), end(1)
