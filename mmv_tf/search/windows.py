# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The overlapping windows that a video is looked at through."""

from __future__ import annotations

import dataclasses
import math

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
