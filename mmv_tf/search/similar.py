# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Queries by moments in the index ("more like this"), whose vectors are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from mmv_tf.search.embedder import SOUND, VISION


@dataclasses.dataclass(frozen=True)
class Similar:
    """A moment to find similar moments for.

    Attributes:
      video: its video's name.
      start, end: times in seconds.
      weight: weight in the score; a negative weight avoids the moment.
      within: `VISION` or `SOUND`, the modality of the windows to compare.
    """

    video: str
    start: float
    end: float
    weight: float = 1.0
    within: str = VISION

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(f"A query's weight is {self.weight}; expected a number other than 0.")
        if self.within not in (VISION, SOUND):
            raise ValueError(
                f"A query's within is {self.within!r}; expected {VISION!r} or {SOUND!r}."
            )


def mean_vector(
    vectors: np.ndarray, spans: np.ndarray, start: float, end: float, heard: np.ndarray | None
) -> np.ndarray:
    """Return a moment's unit vector: the mean of its windows.

    Args:
      vectors: float32 [n, D], the video's windows.
      spans: float32 [n, 2], their times in seconds.
      start, end: the moment's times; its windows are those whose middle lies in it, or the nearest.
      heard: booleans [n], mask of the windows that have audio; None if all have.

    Returns:
      float32 [D].

    Raises:
      ValueError: no window has audio, or the windows cancel each other out.
    """
    middles = spans.mean(axis=1)
    chosen = (middles >= start) & (middles <= end)
    if not chosen.any():
        chosen[np.argmin(np.abs(middles - (start + end) / 2))] = True
    if heard is not None:
        chosen &= heard
        if not chosen.any():
            raise ValueError("The moment is silent; search for what is seen in it.")
    mean = np.asarray(vectors[chosen], np.float32).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0:
        raise ValueError(
            "The windows of the moment cancel each other out; use only a part of the moment."
        )
    return (mean / length).astype(np.float32)
