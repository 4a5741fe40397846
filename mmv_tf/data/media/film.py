# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The frames of a video that are on screen at given times."""

from __future__ import annotations

import bisect
import io
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from PIL import Image

from mmv_tf.data.media.container import display_size, open_container, video_stream
from mmv_tf.data.media.decoding import TIME_TOLERANCE, decode_from
from mmv_tf.data.media_limits import MediaError, check_aspect

# A picture is held on screen this long after the last frame's time, even if no duration is stored.
_HOLD_SECONDS = 0.5
_Shown = TypeVar("_Shown")


def frame_times(start: float, end: float, frame_rate: float) -> list[float]:
    """The regular grid start, start + 1 / frame_rate, ... below `end` (at least one time)."""
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
    """The frames shown at `frame_times(start, end, frame_rate)`; see `iter_frames_at`."""
    return iter_frames_at(path, frame_times(start, end, frame_rate), short_side, jpeg_quality)


def iter_frames_at(
    path: str | pathlib.Path, times: Sequence[float], short_side: int, jpeg_quality: int = 90
) -> Iterator[tuple[float, bytes]]:
    """The frames on screen at given times, from one pass over the video.

    The frame at a time is the last one whose own time is not later. Before the first frame it is
    the first one, and up to half a second after the last frame's end it is the last one.

    Args:
      path: the video.
      times: seconds, rising (equal ones may repeat: the very same bytes are given again).
      short_side: pixels that the shorter side is scaled to, up or down.
      jpeg_quality: 1 to 95.

    Yields:
      (time, JPEG bytes) for each of `times`.

    Raises:
      MediaError: the video can't be decoded or ends before the last of `times`.
    """
    encoder = _FrameEncoder(short_side, jpeg_quality)
    yield from _iter_shown_at(path, times, encoder.encode, _HOLD_SECONDS)


def iter_pixels_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    short_side: int,
    square: bool = False,
    hold_seconds: float = _HOLD_SECONDS,
) -> Iterator[tuple[float, np.ndarray]]:
    """The frames on screen at given times, as `iter_frames_at` gives them, but as pixels.

    Args:
      path: the video.
      times: seconds, rising.
      short_side: pixels that the shorter side is scaled to.
      square: scale the longer side to as many: the picture is squeezed.
      hold_seconds: how long after the last frame it is still given.

    Yields:
      (time, uint8 [height, width, 3]) for each of `times`.

    Raises:
      MediaError: see `iter_frames_at`.
    """
    scaler = _Scaler(short_side, square)
    yield from _iter_shown_at(path, times, scaler.scale, hold_seconds)


def _iter_shown_at(
    path: str | pathlib.Path,
    times: Sequence[float],
    convert: Callable[[av.VideoFrame, av.VideoStream, object], _Shown],
    hold_seconds: float,
) -> Iterator[tuple[float, _Shown]]:
    """The frames on screen at given times, each converted once."""
    if not times:
        return
    with open_container(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = 1  # Processes are what runs in parallel.

        def shown_at(start: float, end: float) -> bool:
            """Whether a frame on screen from `start` to `end` is asked for."""
            first = bisect.bisect_left(times, start - TIME_TOLERANCE)
            return first < len(times) and times[first] < end - TIME_TOLERANCE

        frames = decode_from(container, stream, times[0], shown_at)
        index, shown, shown_time, shown_until = 0, None, -math.inf, -math.inf
        converted: _Shown | None = None
        for time, frame in frames:
            if shown is not None and time <= shown_time:
                continue  # Out of order: a damaged or spliced file.
            while index < len(times) and times[index] < time - TIME_TOLERANCE:
                if converted is None:
                    converted = convert(frame if shown is None else shown, stream, path)
                yield times[index], converted
                index += 1
            if index == len(times):
                return
            length = float(frame.duration * frame.time_base) if frame.duration else 0.0
            shown, shown_time, shown_until = frame, time, time + length
            converted = None
        if shown is None:
            raise MediaError(
                f"{path}: no frame found at {times[index]:.2f} s; check that the file is whole."
            )
        while index < len(times) and times[index] < shown_until + hold_seconds:
            if converted is None:
                converted = convert(shown, stream, path)
            yield times[index], converted
            index += 1
        if index < len(times):
            raise MediaError(
                f"{path}: the video ends at {shown_until:.2f} s, before {times[index]:.2f} s; it "
                "is cut off or damaged: get a whole copy."
            )


class _Scaler:
    """Scales frames, upright and with square pixels; keeps FFmpeg's scaler between frames."""

    def __init__(self, short_side: int, square: bool = False):
        self._short_side = short_side
        self._square = square
        self._reformatter = VideoReformatter()

    def scale(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> np.ndarray:
        """uint8 [height, width, 3]."""
        width, height = display_size(frame, stream)
        check_aspect(width, height, path)
        scale = self._short_side / min(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        if self._square:
            width = height = self._short_side
        turns = round(frame.rotation / 90) % 4
        if turns % 2:
            width, height = height, width  # Scaled first, turned after.
        # Area averaging does not alias when shrinking; when enlarging it would be blocky.
        shrinks = width <= frame.width and height <= frame.height
        image = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=_colorspace(frame),
            interpolation=Interpolation.AREA if shrinks else Interpolation.BICUBIC,
        ).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns))


class _FrameEncoder:
    """Makes JPEGs of frames."""

    def __init__(self, short_side: int, jpeg_quality: int):
        self._scaler = _Scaler(short_side)
        self._jpeg_quality = jpeg_quality

    def encode(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> bytes:
        """A JPEG of `frame`, upright and with square pixels."""
        buffer = io.BytesIO()
        upright = self._scaler.scale(frame, stream, path)
        Image.fromarray(upright).save(buffer, "JPEG", quality=self._jpeg_quality)
        return buffer.getvalue()


def _colorspace(frame: av.VideoFrame) -> Colorspace:
    """The frame's colour matrix; where it is not stored, the one usual for its size."""
    if frame.colorspace == Colorspace.ITU709 or (frame.colorspace == 2 and frame.height >= 720):
        return Colorspace.ITU709
    return Colorspace.DEFAULT
