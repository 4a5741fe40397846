# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Windows: the pieces of a video or sound that a network sees at once."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

# A duration that is this much too short still counts as long enough: containers round.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Windows:
    """How windows are cut; what a network was trained to see, and how far one is from the next.

    Frames lie on one grid over the video, so that windows which overlap share their frames and no
    frame is decoded twice.

    Attributes:
      num_frames: in a window.
      frame_rate: of the grid, in Hz.
      size: of a frame's sides, pixels.
      square_crop: cut wide frames at the sides instead of squeezing them.
      step_frames: of the grid, from one window's start to the next one's.
      sample_rate: of the sound, in Hz; 0 for a network without sound.
    """

    num_frames: int
    frame_rate: float
    size: int
    square_crop: bool
    step_frames: int
    sample_rate: int

    def __post_init__(self) -> None:
        if not 1 <= self.step_frames <= self.num_frames:
            raise ValueError(
                f"Windows of {self.num_frames} frames start every {self.step_frames}; expected 1 "
                "to as many frames, or parts of the video would not be seen."
            )

    @property
    def seconds(self) -> float:
        """Of a window."""
        return self.num_frames / self.frame_rate

    @property
    def samples(self) -> int:
        """Of a window's sound."""
        return round(self.seconds * self.sample_rate)

    def starts(self, duration: float) -> list[int]:
        """Where the windows of a video start, as frames of the grid.

        Every step one, and a last one that reaches the end; a video that is shorter than a window
        has one, which holds its last frame.

        Args:
          duration: of the video, seconds.
        """
        last = math.floor((duration + _TOLERANCE) * self.frame_rate) - self.num_frames
        starts = list(range(0, max(last, 0) + 1, self.step_frames))
        if last > starts[-1]:
            starts.append(last)
        return starts

    def spread(self, start: float, end: float, most: int | None = None) -> np.ndarray:
        """Starts of windows at even distances from the start of a span to its end, seconds [W].

        They are a step or more apart. A single one lies in the middle; a span that is shorter than
        a window has one, which starts with it.

        Args:
          start, end: of the span, seconds.
          most: windows; None for as many as a step apart.
        """
        room = end - start - self.seconds
        if room <= 0:
            return np.array([start])
        count = 1 + int(room / (self.step_frames / self.frame_rate))
        count = count if most is None else min(most, count)
        return start + spread_evenly(room, count)


def spread_evenly(room: float, count: int) -> np.ndarray:
    """Return starts of windows at even distances from 0 to `room`; a single one in the middle."""
    return np.linspace(0.0, room, count) if count > 1 else np.array([room / 2])
