# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Windows: the stretches of video or audio that a model embeds at once."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

# A duration that is this much too short still counts as long enough: containers round.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Windows:
    """Window settings: format, and step from one window to the next.

    Frames lie on one grid over the video, so overlapping windows share frames and no frame is
    decoded twice.

    Attributes:
      num_frames: frames in a window.
      frame_rate: frame rate of the grid, in Hz.
      size: side of a frame in pixels.
      square_crop: crop wide frames at the sides instead of squeezing them.
      step_frames: grid frames from the start of one window to the start of the next.
      sample_rate: sample rate of the audio, in Hz; 0 for a model without audio.
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
                f"The step between windows is {self.step_frames} frames; expected 1 to "
                f"{self.num_frames}, the length of a window, so that no frame is skipped."
            )

    @property
    def seconds(self) -> float:
        """The window duration, in seconds."""
        return self.num_frames / self.frame_rate

    @property
    def samples(self) -> int:
        """The number of audio samples in a window."""
        return round(self.seconds * self.sample_rate)

    def starts(self, duration: float) -> list[int]:
        """Return the starts of a video's windows, as frame indices on the grid.

        Starts are one step apart, and a final window reaches the end. A video shorter than a window
        has one window, padded with its last frame.

        Args:
          duration: the video's duration, in seconds.
        """
        last = math.floor((duration + _TOLERANCE) * self.frame_rate) - self.num_frames
        starts = list(range(0, max(last, 0) + 1, self.step_frames))
        if last > starts[-1]:
            starts.append(last)
        return starts

    def spread(self, start: float, end: float, most: int | None = None) -> np.ndarray:
        """Return evenly spaced window starts over a span, in seconds, [W].

        They are at least one step apart. A single window is centered; a span shorter than a window
        has one window, which starts at the span's start.

        Args:
          start, end: the span, in seconds.
          most: maximum number of windows; None for as many as fit one step apart.
        """
        room = end - start - self.seconds
        if room <= 0:
            return np.array([start])
        count = 1 + int(room / (self.step_frames / self.frame_rate))
        count = count if most is None else min(most, count)
        return start + spread_evenly(room, count)


def spread_evenly(room: float, count: int) -> np.ndarray:
    """Return `count` evenly spaced starts from 0 to `room`; a single one is centered."""
    return np.linspace(0.0, room, count) if count > 1 else np.array([room / 2])
