# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The frames of a video that are on screen at given times."""

from __future__ import annotations

import bisect
import io
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import av
import numpy as np
from PIL import Image

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.decoding import TIME_TOLERANCE, decode_from
from mmv_tf.data.media.packets import Tally
from mmv_tf.data.media.rgb import Scaler
from mmv_tf.data.media.scan import Part
from mmv_tf.data.media.timeline import Timeline, timeline_of

# The last frame stays on screen this long, even if no duration is stored.
_HOLD_SECONDS = 0.5
_Shown = TypeVar("_Shown")
_Convert = Callable[[av.VideoFrame, av.VideoStream, object], _Shown]


def frame_times(start: float, end: float, frame_rate: float) -> list[float]:
    """Return start, start + 1 / frame_rate, ... below `end`; always at least one time."""
    count = max(1, math.ceil((end - start) * frame_rate - 1e-6))
    return [start + index / frame_rate for index in range(count)]


def iter_frames(
    path: str | pathlib.Path,
    start: float,
    end: float,
    frame_rate: float,
    short_side: int,
    jpeg_quality: int = 90,
) -> Iterator[tuple[float, bytes]]:
    """Yield the frames at `frame_times(start, end, frame_rate)`, like `iter_frames_at`."""
    return iter_frames_at(path, frame_times(start, end, frame_rate), short_side, jpeg_quality)


def iter_frames_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    short_side: int,
    jpeg_quality: int = 90,
    timeline: Timeline | None = None,
    tally: Tally | None = None,
) -> Iterator[tuple[float, bytes]]:
    """Yield the frames on screen at given times, in one pass over the video.

    The frame at a time is the last one that starts no later; the last frame stays on screen for up
    to half a second after its end. Times count from the first frame.

    Args:
      path: path to the video.
      times: times in seconds, ascending. Equal times yield exactly the same bytes.
      short_side: length in pixels to which the shorter side is scaled, up or down.
      jpeg_quality: quality of the JPEGs, 1 to 95.
      timeline: the video's timeline, if known; measured by default.
      tally: counter of the packets that could be decoded.

    Yields:
      (time, JPEG bytes) for each of `times`.

    Raises:
      MediaError: the video cannot be decoded, or ends before the last of `times`.
    """
    timeline = timeline_of(path) if timeline is None else timeline
    tally = Tally() if tally is None else tally
    encoder = _FrameEncoder(_scaler(timeline, short_side), jpeg_quality, tally)
    yield from _iter_shown_at(path, times, encoder.encode, _HOLD_SECONDS, timeline, tally)


def iter_pixels_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    short_side: int,
    square: bool = False,
    hold_seconds: float = _HOLD_SECONDS,
    timeline: Timeline | None = None,
    tally: Tally | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the frames on screen at given times as pixels.

    Args:
      path: path to the video.
      times: times in seconds, ascending.
      short_side: length in pixels to which the shorter side is scaled.
      square: whether to scale the longer side to the same size, which distorts the frame.
      hold_seconds: seconds that the last frame stays on screen after its end.
      timeline, tally: see `iter_frames_at`; sizes are not counted.

    Yields:
      (time, uint8 [height, width, 3]) for each of `times`.

    Raises:
      MediaError: see `iter_frames_at`.
    """
    timeline = timeline_of(path) if timeline is None else timeline
    scaler = _scaler(timeline, short_side, square)
    yield from _iter_shown_at(path, times, scaler.scale, hold_seconds, timeline, tally)


def _scaler(timeline: Timeline, short_side: int, square: bool = False) -> Scaler:
    first = next((part for part in timeline.parts if part.video is not None), None)
    size = (first.width, first.height) if first is not None else None
    return Scaler(short_side, square, size)


def _iter_shown_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    convert: _Convert[_Shown],
    hold_seconds: float,
    timeline: Timeline,
    tally: Tally | None = None,
) -> Iterator[tuple[float, _Shown]]:
    """Yield the frames on screen at given times, each converted once."""
    if not times:
        return
    if not timeline.has_video:
        raise MediaError(f"{path}: no video stream found; expected a video.")
    shown = [part for part in timeline.parts if part.video is not None]
    begin = 0
    for index, part in enumerate(shown):
        is_last = index + 1 == len(shown)
        # The last frame of a part stays on screen until the next part starts.
        end = len(times) if is_last else bisect.bisect_left(times, part.end - TIME_TOLERANCE)
        if begin < end:
            hold = hold_seconds if is_last else math.inf
            yield from _iter_part(path, part, times[begin:end], convert, hold, tally)
        begin = max(begin, end)


def _iter_part(
    path: str | pathlib.Path,
    part: Part,
    times: Sequence[float],
    convert: _Convert[_Shown],
    hold_seconds: float,
    tally: Tally | None,
) -> Iterator[tuple[float, _Shown]]:
    """Yield the frames on screen at the times that fall inside one part."""

    def shown_at(start: float, end: float) -> bool:
        """Return whether a frame on screen from `start` to `end` is needed."""
        first = bisect.bisect_left(times, start - TIME_TOLERANCE)
        return first < len(times) and times[first] < end - TIME_TOLERANCE

    usual = 1 / part.frame_rate if part.frame_rate else 0.0
    index, shown_time, shown_until = 0, -math.inf, -math.inf
    shown: tuple[av.VideoFrame, av.VideoStream] | None = None
    converted: _Shown | None = None
    for time, frame, stream in decode_from(path, part, "video", times[0], shown_at, tally):
        frame, stream = cast(av.VideoFrame, frame), cast(av.VideoStream, stream)
        if shown is not None and time <= shown_time:
            if tally is not None and time < shown_time - TIME_TOLERANCE:
                tally.disordered.append(time)
            continue
        while index < len(times) and times[index] < time - TIME_TOLERANCE:
            if converted is None:
                converted = convert(*(shown or (frame, stream)), path)
            yield times[index], converted
            index += 1
        if index == len(times):
            return
        length = float(frame.duration * frame.time_base) if frame.duration else usual
        shown, shown_time, shown_until = (frame, stream), time, time + length
        converted = None
    if shown is None:
        raise MediaError(
            f"{path}: no frame found at {times[index]:.2f} s; check that the file is complete."
        )
    while index < len(times) and times[index] < shown_until + hold_seconds:
        if converted is None:
            converted = convert(*shown, path)
        yield times[index], converted
        index += 1
    if index < len(times):
        raise MediaError(
            f"{path}: the video ends at {shown_until:.2f} s, before {times[index]:.2f} s; it is "
            "cut off or damaged: get a complete copy."
        )


class _FrameEncoder:
    """Encodes frames as JPEGs."""

    def __init__(self, scaler: Scaler, jpeg_quality: int, tally: Tally):
        self._scaler = scaler
        self._jpeg_quality = jpeg_quality
        self._tally = tally

    def encode(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> bytes:
        """Return `frame` as a JPEG, upright and with square pixels."""
        buffer = io.BytesIO()
        upright = self._scaler.scale(frame, stream, path)
        self._tally.sizes.add((upright.shape[1], upright.shape[0]))
        Image.fromarray(upright).save(buffer, "JPEG", quality=self._jpeg_quality)
        return buffer.getvalue()
