# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Collects the frames of a unit's clips, as JPEGs or as videos."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from mmv_tf.data import media
from mmv_tf.data.preparation.plan import PlannedClip
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.stored_clips.clip_encoder import VideoEncoder

_Frame = TypeVar("_Frame", bytes, np.ndarray)


@dataclasses.dataclass(frozen=True)
class ClipFrames:
    """One clip's frames.

    Attributes:
      frames: one JPEG per frame; empty if they are stored as video, and for audio alone.
      height, width: size of each frame in pixels.
      video: an MP4 file of the frames; empty if they are JPEGs, and for audio alone.
      count: number of frames in `video`.
    """

    frames: Sequence[bytes] = ()
    height: int = 0
    width: int = 0
    video: bytes = b""
    count: int = 0


class Collector(Generic[_Frame]):
    """Base class that collects frames at the times when clips need them.

    Attributes:
      times: times at which frames are needed, in seconds, ascending.
    """

    def __init__(self, clips: Sequence[PlannedClip], settings: Settings):
        self.settings = settings
        self.grids = [
            media.frame_times(
                clip.span.start_ms / 1000, clip.span.end_ms / 1000, settings.frame_rate
            )
            for clip in clips
        ]
        self.times = sorted({time for grid in self.grids for time in grid})

    def take(self, time: float, frame: _Frame) -> None:
        """Take the next frame in order of time; frames that no clip needs are harmless."""
        raise NotImplementedError

    def clip_frames(self, one_size: tuple[int, int] | None) -> list[ClipFrames | None]:
        """Return the frames of each clip, or None for a clip in which their size changes.

        Args:
          one_size: width and height of all frames, if known.
        """
        raise NotImplementedError


class JpegCollector(Collector[bytes]):
    """Keeps each frame once, as a JPEG."""

    def __init__(self, clips: Sequence[PlannedClip], settings: Settings):
        super().__init__(clips, settings)
        self._frames: dict[float, bytes] = {}

    def take(self, time: float, frame: bytes) -> None:
        """Keep a JPEG."""
        self._frames[time] = frame

    def clip_frames(self, one_size: tuple[int, int] | None) -> list[ClipFrames | None]:
        """Return the JPEGs of each clip, with sizes from their headers if `one_size` is None."""
        return [self._of_clip(grid, one_size) for grid in self.grids]

    def _of_clip(
        self, grid: Sequence[float], one_size: tuple[int, int] | None
    ) -> ClipFrames | None:
        frames = [self._frames[time] for time in grid]
        sizes = {one_size} if one_size is not None else {_jpeg_size(frame) for frame in frames}
        if len(sizes) > 1:
            return None
        width, height = sizes.pop()
        return ClipFrames(frames, height, width)


def _jpeg_size(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return image.size


class VideoCollector(Collector[np.ndarray]):
    """Encodes the frames of each clip as they arrive, so that only one frame is in memory."""

    def __init__(self, clips: Sequence[PlannedClip], settings: Settings):
        super().__init__(clips, settings)
        # The clips that need a frame at each time, in order.
        self._clips_at: dict[float, list[int]] = {}
        for clip, grid in enumerate(self.grids):
            for time in grid:
                self._clips_at.setdefault(time, []).append(clip)
        self._encoders: dict[int, VideoEncoder] = {}
        self._done: dict[int, ClipFrames | None] = {}

    def take(self, time: float, frame: np.ndarray) -> None:
        """Encode a frame, uint8 [height, width, 3]."""
        size = frame.shape[0], frame.shape[1]
        for clip in self._clips_at.get(time, ()):
            if clip in self._done:
                continue
            settings = self.settings
            encoder = self._encoders.get(clip)
            if encoder is None:
                encoder = VideoEncoder(*size, settings.frame_rate, settings.video_crf)
                self._encoders[clip] = encoder
            if (encoder.height, encoder.width) != size:
                self._done[clip] = None
                del self._encoders[clip]
                continue
            encoder.add(frame)
            if encoder.count == len(self.grids[clip]):
                # Done at once, because each encoder holds tens of megabytes.
                video = encoder.finish()
                self._done[clip] = ClipFrames((), *size, video, encoder.count)
                del self._encoders[clip]

    def clip_frames(self, one_size: tuple[int, int] | None) -> list[ClipFrames | None]:
        """Return the video of each clip."""
        del one_size
        return [self._done[clip] for clip in range(len(self.grids))]
