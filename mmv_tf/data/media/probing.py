# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a file holds."""

from __future__ import annotations

import dataclasses
import pathlib

import av

from mmv_tf.data.media.container import display_size, open_container, start_of, video_stream
from mmv_tf.data.media_limits import MediaError
from mmv_tf.data.pictures import picture_size


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a file holds.

    Attributes:
      duration: seconds, to the end of the video stream, or of the sound of a sound file; 0 for an
        image.
      width, height: pixels as displayed (after rotation and with square pixels), 0 for sound.
      frame_rate: mean frames a second, 0 if unknown.
      has_audio: whether there is a sound stream.
      audio_rate: samples a second, 0 without sound.
    """

    duration: float
    width: int
    height: int
    frame_rate: float
    has_audio: bool
    audio_rate: int


def probe(path: str | pathlib.Path, kind: str = "video") -> MediaInfo:
    """Reads what `path` holds, decoding its first frame.

    Args:
      path: the file.
      kind: "video", "sound" (only the sound, of a video too) or "image".

    Raises:
      MediaError: it is missing, is not of the kind, or its first frame can't be decoded.
    """
    if kind == "image":
        return MediaInfo(0.0, *picture_size(path), 0.0, False, 0)
    with open_container(path) as container:
        audio = container.streams.audio[0] if container.streams.audio else None
        if kind == "sound":
            if audio is None:
                raise MediaError(f"{path}: no sound stream found; expected one.")
            rate = int(audio.rate or 0)
            return MediaInfo(_duration(container, audio, path), 0, 0, 0.0, True, rate)
        stream = video_stream(container, path)
        duration = _duration(container, stream, path)
        frame = next(iter(container.decode(stream)), None)
        if frame is None:
            raise MediaError(f"{path}: no video frame found; check that the file is whole.")
        width, height = display_size(frame, stream)
        average = stream.average_rate
        return MediaInfo(
            duration=duration,
            width=width,
            height=height,
            frame_rate=float(average) if average is not None else 0.0,
            has_audio=audio is not None,
            audio_rate=int(audio.rate or 0) if audio is not None else 0,
        )


def _duration(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    path: object,
) -> float:
    """Seconds from the presentation's start to the stream's end."""
    if stream.duration is not None:
        start = stream.start_time if stream.start_time is not None else 0
        return float((start + stream.duration) * stream.time_base) - start_of(container)
    if container.duration is not None:
        return container.duration / av.time_base
    raise MediaError(
        f"{path}: the file does not say how long it is; copy it into another container "
        "(ffmpeg -i in -c copy out.mp4)."
    )
