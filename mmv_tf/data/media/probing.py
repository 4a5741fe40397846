# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a file holds."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.images import picture_size
from mmv_tf.data.media.timeline import Timeline, timeline_of


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes:
      duration: seconds, from the first picture to the end of the last one; of a sound file, to the
        end of the sound; 0 for an image.
      width, height: pixels of the first picture as displayed (upright and with square pixels), 0
        for sound.
      frame_rate: mean frames a second, 0 if unknown.
      has_audio: whether there is a sound that can be decoded.
      audio_rate: samples a second, 0 without sound.
      timeline: the clock, which decoding takes; None for an image.
    """

    duration: float
    width: int
    height: int
    frame_rate: float
    has_audio: bool
    audio_rate: int
    timeline: Timeline | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MediaInfo:
        """What `to_json` gave."""
        timeline = values["timeline"]
        return cls(**{**values, "timeline": timeline and Timeline.from_json(timeline)})


def probe(path: str | pathlib.Path, kind: str = "video") -> MediaInfo:
    """Measures what `path` holds: reads it to its end and decodes its first frame.

    Args:
      path: the file.
      kind: "video", "sound" (only the sound, of a video too) or "image".

    Raises:
      MediaError: it is missing, is not of the kind, or its first frame can't be decoded.
    """
    if kind == "image":
        return MediaInfo(0.0, *picture_size(path), 0.0, False, 0)
    timeline = timeline_of(path)
    first = timeline.parts[0]
    rate = next((part.sample_rate for part in timeline.parts if part.audio is not None), 0)
    if kind == "sound":
        if not timeline.has_audio:
            raise MediaError(f"{path}: no sound stream found; expected one.")
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
