# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Opens video and audio files with PyAV, and chooses their tracks."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import av

from mmv_tf.data.file_types import MAX_PIXELS, MediaError
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.media import at_hand

# Containers that hold their own content. Playlists (HLS, concat, DASH ...) refer to other files,
# which the author of the file may have no permission to read.
_FORMATS = ",".join(
    "aac ac3 aiff amr ape asf au avi caf dv eac3 flac flv gif h264 hevc ivf matroska mov mp3 "
    "mpeg mpegts mpegvideo m4v mxf ogg rm tta w64 wav wv y4m yuv4mpegpipe".split()
)
# Only the file itself is read, whatever it refers to; "subfile" reads a part of it.
_PROTOCOLS = "file,subfile"
# Ours: on a clock that wraps, a time further before the start than this lies after it.
_BEFORE_SECONDS = 3600.0
_Track = TypeVar("_Track", av.VideoStream, av.AudioStream)


@dataclasses.dataclass(frozen=True)
class Slice:
    """A byte range of a file that is opened as a separate file.

    Attributes:
      begin, end: byte offsets; an end of None is the end of the file.
      format: FFmpeg's name for the container; None detects it from the content.
    """

    begin: int = 0
    end: int | None = None
    format: str | None = None


WHOLE = Slice()


@contextlib.contextmanager
def open_container(
    path: str | pathlib.Path, part: Slice = WHOLE
) -> Iterator[av.container.InputContainer]:
    """Open a file or a part of it; turn FFmpeg's errors, now and later, into `MediaError`.

    A file in a store's mirror is downloaded if necessary.

    Raises:
      MediaError: the file is missing or can't be decoded.
      StorageError: it can't be fetched.
    """
    with contextlib.ExitStack() as stack:
        try:
            local = stack.enter_context(at_hand(path))
        except MissingError as error:
            raise _missing(path) from error
        yield stack.enter_context(_opened(local, part))


def _missing(path: str | pathlib.Path) -> MediaError:
    return MediaError(f"{path}: no such file; expected a video file; check the path.")


@contextlib.contextmanager
def _opened(path: pathlib.Path, part: Slice) -> Iterator[av.container.InputContainer]:
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; expected a video file; check the path.")
    if not path.is_file():
        raise _missing(path)
    # "file:" prevents a colon in the name from being read as a protocol.
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
            f"{path}: can't be decoded ({reason}); the file is damaged, cut off or not a video: "
            "get a complete copy."
        ) from error


def video_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the video tracks that have a decoder, in order of preference.

    A track marked as default comes first. Cover images are left out.
    """
    attached = av.stream.Disposition.attached_pic
    return _by_preference(s for s in container.streams.video if not s.disposition & attached)


def audio_tracks(container: av.container.InputContainer) -> list[av.AudioStream]:
    """Return the audio tracks that have a decoder, in order of preference.

    A track marked as default comes first; otherwise commentary and tracks for people with impaired
    sight or hearing come last.
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
    """Return the seconds after which a container's clock wraps to 0, or None if it does not.

    MPEG transport and program streams count a 90 kHz clock in 33 bits.
    """
    return 2**33 / 90_000 if container.format.name in ("mpegts", "mpeg") else None


def unwrapped(seconds: float, period: float | None) -> float:
    """Return a time relative to the start, corrected if the clock has wrapped since."""
    if period is None or -_BEFORE_SECONDS <= seconds < period - _BEFORE_SECONDS:
        return seconds
    return (seconds + _BEFORE_SECONDS) % period - _BEFORE_SECONDS


def has_index(
    container: av.container.InputContainer, stream: av.VideoStream | av.AudioStream
) -> bool:
    """Return whether a file has a complete index of a track's packets: an unfragmented MP4."""
    entries = stream.index_entries
    if not (
        container.format.name.startswith("mov")
        and stream.duration is not None
        and 0 < len(entries) <= stream.frames
    ):
        return False
    last = entries[len(entries) - 1]
    return last.pos + last.size <= container.size


def check_size(stream: av.VideoStream, path: object) -> None:
    """Reject frames that are too large, before decoding any.

    Raises:
      MediaError: the frames exceed `MAX_PIXELS`.
    """
    size = stream.codec_context.width * stream.codec_context.height
    if size > MAX_PIXELS:
        raise MediaError(
            f"{path}: a frame has {size} pixels; at most {MAX_PIXELS} are decoded; scale it down."
        )
