# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Opens films and sounds with PyAV and chooses their tracks."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import av

from mmv_tf.data.file_types import MAX_PIXELS, MediaError

# Containers that hold what they show. Play lists (HLS, concat, DASH ...) name other files, which
# whoever made the file need not be allowed to read.
_FORMATS = ",".join(
    "aac ac3 aiff amr ape asf au avi caf dv eac3 flac flv gif h264 hevc ivf matroska mov mp3 "
    "mpeg mpegts mpegvideo m4v mxf ogg rm tta w64 wav wv y4m yuv4mpegpipe".split()
)
# Nothing but the file itself is read, whatever a container refers to; "subfile" is a part of it.
_PROTOCOLS = "file,subfile"
# Ours: what is this much before the start, by a clock that wraps, is after it.
_BEFORE_SECONDS = 3600.0
_Track = TypeVar("_Track", av.VideoStream, av.AudioStream)


@dataclasses.dataclass(frozen=True)
class Slice:
    """A part of a file that is opened as a file of its own.

    Attributes:
      begin, end: bytes; an end of None is the file's.
      format: FFmpeg's name of the container; None finds it from the content.
    """

    begin: int = 0
    end: int | None = None
    format: str | None = None


WHOLE = Slice()


@contextlib.contextmanager
def open_container(
    path: str | pathlib.Path, part: Slice = WHOLE
) -> Iterator[av.container.InputContainer]:
    """An open file, or a part of it; FFmpeg's errors, then and later, become `MediaError`."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise MediaError(
            f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; expected a video file; "
            "check the path."
        )
    # "file:" keeps a colon in the name from being read as a protocol.
    address = f"file:{path}"
    if part != WHOLE:
        address = f"subfile,,start,{part.begin},end,{part.end or 0},,:{address}"
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": _PROTOCOLS}
    try:
        with av.open(
            address, format=part.format, metadata_errors="replace", options=options
        ) as container:
            yield container
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).strip()
        raise MediaError(
            f"{path}: can't be decoded ({reason}); the file is damaged, cut off or no video: get a "
            "whole copy."
        ) from error


def video_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The tracks with moving pictures that have a decoder, the one to show first.

    A track marked as default comes before the others. Cover pictures don't count.
    """
    attached = av.stream.Disposition.attached_pic
    return _by_preference(s for s in container.streams.video if not s.disposition & attached)


def audio_tracks(container: av.container.InputContainer) -> list[av.AudioStream]:
    """The tracks with sound that have a decoder, the one to play first: the default one.

    Of several alike, one that is not for people with impaired sight or hearing.
    """
    return _by_preference(container.streams.audio)


def _by_preference(tracks: Iterable[_Track]) -> list[_Track]:
    known = [track for track in tracks if track.codec_context is not None]
    kinds = av.stream.Disposition
    special = kinds.visual_impaired | kinds.hearing_impaired | kinds.comment
    return sorted(
        known,
        key=lambda track: (
            not track.disposition & kinds.default,
            bool(track.disposition & special),
        ),
    )


def clock_period(container: av.container.InputContainer) -> float | None:
    """Seconds after which a container's times begin again at 0; None if they don't.

    MPEG's transport and program streams count a 90 kHz clock in 33 bits.
    """
    return 2**33 / 90_000 if container.format.name in ("mpegts", "mpeg") else None


def unwrapped(seconds: float, period: float | None) -> float:
    """A time relative to a film's start, for a clock that may have begun again at 0 meanwhile."""
    if period is None or -_BEFORE_SECONDS <= seconds < period - _BEFORE_SECONDS:
        return seconds
    return (seconds + _BEFORE_SECONDS) % period - _BEFORE_SECONDS


def check_size(stream: av.VideoStream, path: object) -> None:
    """Refuses pictures that are too large, before any is decoded.

    Raises:
      MediaError: they are.
    """
    size = stream.codec_context.width * stream.codec_context.height
    if size > MAX_PIXELS:
        raise MediaError(
            f"{path}: the picture has {size} pixels; at most {MAX_PIXELS} are decoded."
        )
