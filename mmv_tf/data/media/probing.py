# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures a media file: duration, frame size, frame rate and audio."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.images import image_size
from mmv_tf.data.media.timeline import Timeline, timeline_of


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """A media file's contents.

    Attributes:
      duration: seconds from the first frame to the end of the last one, or of the audio in an audio
        file; 0 for an image.
      width, height: pixels of the first frame as displayed (upright, with square pixels); 0 for
        audio.
      frame_rate: mean frames per second, or 0 if unknown.
      has_audio: True if there is audio that can be decoded.
      audio_rate: samples per second, 0 if there is no audio.
      timeline: the clock, for decoding; None for an image.
    """

    duration: float
    width: int
    height: int
    frame_rate: float
    has_audio: bool
    audio_rate: int
    timeline: Timeline | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values to send to another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MediaInfo:
        """Return the information from the values of `to_json`."""
        timeline = values["timeline"]
        return cls(**{**values, "timeline": timeline and Timeline.from_json(timeline)})


def probe(path: str | pathlib.Path, kind: str = "video") -> MediaInfo:
    """Measure a file: read it to its end and decode its first frame.

    Args:
      path: the file.
      kind: "video", "sound" (the audio of an audio or video file) or "image".

    Raises:
      MediaError: the file is missing or of another kind, or its first frame can't be decoded.
    """
    if kind == "image":
        return MediaInfo(0.0, *image_size(path), 0.0, False, 0)
    timeline = timeline_of(path)
    first = timeline.parts[0]
    rate = next((part.sample_rate for part in timeline.parts if part.audio is not None), 0)
    if kind == "sound":
        if not timeline.has_audio:
            raise MediaError(f"{path}: no audio stream found; expected one.")
        return MediaInfo(timeline.sound_end, 0, 0, 0.0, True, rate, timeline)
    if not timeline.has_video:
        raise MediaError(f"{path}: no video stream found; expected a video.")
    return MediaInfo(
        duration=timeline.length,
        width=first.width,
        height=first.height,
        frame_rate=first.frame_rate,
        has_audio=timeline.has_audio,
        audio_rate=rate,
        timeline=timeline,
    )
