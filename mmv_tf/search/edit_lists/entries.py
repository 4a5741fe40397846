# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""List entries: moments, and the properties of their films that editing programs need."""

from __future__ import annotations

import dataclasses
import fractions
import pathlib
from collections.abc import Sequence
from typing import Any

from mmv_tf.data.captions import Caption
from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import audio_tracks, open_container, video_tracks
from mmv_tf.search.edit_lists.timecode import Rate


@dataclasses.dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
      name: name in the index, for display.
      address: location for editing programs: a URL, or a path relative to the list.
      duration: duration in seconds.
      frame_rate: frames per second; the mean if the rate varies.
      width, height: size in pixels.
      channels, sample_rate: properties of the audio; 0 if there is no audio.
      timecode: timecode of the first frame, as stored by the camera; None for 0.
    """

    name: str
    address: str
    duration: float
    frame_rate: float
    width: int = 0
    height: int = 0
    channels: int = 0
    sample_rate: int = 0
    timecode: str | None = None

    @property
    def rate(self) -> Rate:
        """The closest frame rate that editing programs support."""
        return Rate.nearest(self.frame_rate)

    @property
    def begin(self) -> fractions.Fraction:
        """The time of the first frame in seconds, on the clock of its timecode."""
        if self.timecode is None:
            return fractions.Fraction(0)
        try:
            return self.rate.seconds(self.rate.frame(self.timecode))
        except ValueError:
            return fractions.Fraction(0)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A moment in a list.

    Attributes:
      key: the moment's id.
      film: the moment's film.
      start, end: seconds from the first frame.
      captions: speech in the moment.
      score: score in the search, or None if unknown.
    """

    key: str
    film: Film
    start: float
    end: float
    captions: Sequence[Caption] = ()
    score: float | None = None

    @property
    def said(self) -> str:
        """The captions on one line."""
        return " ".join(caption.text for caption in self.captions)


def read_film(path: str) -> dict[str, Any]:
    """Read a film's headers; for child processes.

    Returns:
      Arguments for `Film`, as plain values.

    Raises:
      MediaError: the file can't be read, or is not a video.
    """
    with open_container(path) as container:
        tracks = video_tracks(container)
        if not tracks:
            raise MediaError(f"{path}: no video stream found; expected a video.")
        video, sound = tracks[0], audio_tracks(container)
        rate = video.average_rate or video.guessed_rate or fractions.Fraction(25)
        stored = [video.metadata.get("timecode"), container.metadata.get("timecode")]
        stored += [stream.metadata.get("timecode") for stream in container.streams]
        return {
            "frame_rate": float(rate),
            "width": video.codec_context.width,
            "height": video.codec_context.height,
            "channels": len(sound[0].layout.channels) if sound else 0,
            "sample_rate": sound[0].codec_context.sample_rate if sound else 0,
            "timecode": next((code for code in stored if code), None),
        }


def file_url(path: pathlib.Path) -> str:
    """Return the URL of a file on this machine."""
    return path.absolute().as_uri()
