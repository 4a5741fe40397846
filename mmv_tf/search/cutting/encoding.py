# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cutting by re-encoding: H.264 and AAC in MP4, which all browsers and editors accept."""

from __future__ import annotations

import fractions
import heapq
from collections.abc import Iterator
from typing import cast

import av
import numpy as np

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.decoding import TIME_TOLERANCE, decode_from
from mmv_tf.data.media.scan import Part
from mmv_tf.data.media.timeline import Timeline
from mmv_tf.search.cutting.sound import AAC_SAMPLES, Sound, sound_blocks
from mmv_tf.search.cutting.upright import Upright

# The first encoder that PyAV was built with.
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_TICKS = 90_000  # time units per second; a frame's time is off by 6 microseconds at most
# Ours: visually lossless at several times real time. No B-frames, so that the first frame's time is
# 0 without an edit list, which some editors ignore.
_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "18", "bf": "0"}}
_BITS_PER_PIXEL = 0.15  # for encoders without a constant quality mode; ours
_KEY_SECONDS = 2.0
_Timed = tuple[float, int, av.Packet]


def encode(
    path: str, timeline: Timeline, start: float, end: float, output: str
) -> tuple[float, float]:
    """Write a part of a film by decoding and encoding it; see `copying.copy`.

    The frame on screen at the start is shown from 0 on, every other frame at its own time, and the
    last frame up to the end. Samples are positioned by their times.
    """
    with av.open(output, "w", format="mp4", options={"movflags": "faststart"}) as target:
        frames = _frames(path, timeline, start, end)
        first = next(frames, None)
        if first is None:
            raise MediaError(f"{path}: no frame found at {start:.2f} s; the file is damaged.")
        tracks = [_Video(target, path, timeline, first[1], start, end).packets(first, frames)]
        sound = Sound.of(path, timeline)
        if sound is not None:
            tracks.append(_Audio(target, sound).packets(sound_blocks(sound, start, end)))
        for _, _, packet in heapq.merge(*tracks, key=lambda timed: timed[:2]):
            target.mux(packet)
    return start, end


def _frames(
    path: str, timeline: Timeline, start: float, end: float
) -> Iterator[tuple[float, av.VideoFrame, av.VideoStream]]:
    """Yield the frame on screen at the start with that time, then the frames up to the end."""
    shown: tuple[float, av.VideoFrame, av.VideoStream] | None = None
    parts = [part for part in timeline.parts if part.video is not None]
    for index, part in enumerate(parts):
        until = min(end, parts[index + 1].start if index + 1 < len(parts) else end)
        if until <= start:
            continue
        for time, frame, stream in decode_from(path, part, "video", max(start, part.start)):
            if time >= until - TIME_TOLERANCE:
                break
            frame, stream = cast(av.VideoFrame, frame), cast(av.VideoStream, stream)
            if time > start + TIME_TOLERANCE and shown is not None:
                yield shown
            shown = max(time, start), frame, stream
    if shown is not None:
        yield shown


class _Video:
    """Encodes the frames.

    Args:
      target: the file to write.
      path, timeline: the film.
      first: the first frame.
      start, end: seconds on the film's clock.
    """

    def __init__(
        self,
        target: av.container.OutputContainer,
        path: str,
        timeline: Timeline,
        first: av.VideoFrame,
        start: float,
        end: float,
    ):
        part: Part = next(part for part in timeline.parts if part.video is not None)
        self._path, self._start = path, start
        self._ticks = max(1, round((end - start) * _TICKS))
        self._upright = Upright(path)
        self._size: tuple[int, int] | None = None
        name = next(name for name in _ENCODERS if name in av.codecs_available)
        rate = fractions.Fraction(min(max(part.frame_rate, 1.0), 240.0)).limit_denominator(1001)
        self._stream = target.add_stream(name, rate=rate, options=_OPTIONS.get(name, {}))
        self._stream.time_base = fractions.Fraction(1, _TICKS)
        self._context = self._stream.codec_context
        self._context.time_base = fractions.Fraction(1, _TICKS)
        self._context.gop_size = max(1, round(_KEY_SECONDS * float(rate)))
        self._context.pix_fmt = "yuv420p"
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(self._context, name, getattr(first, name))

    def packets(
        self,
        first: tuple[float, av.VideoFrame, av.VideoStream],
        rest: Iterator[tuple[float, av.VideoFrame, av.VideoStream]],
    ) -> Iterator[_Timed]:
        """Yield (seconds in the clip, 0, packet)."""
        lengths: dict[int, int] = {}
        before, following = first, next(rest, None)
        shown = -1
        while True:
            stamp = max(round((before[0] - self._start) * _TICKS), shown + 1)
            until = self._ticks
            if following is not None:
                until = round((following[0] - self._start) * _TICKS)
            lengths[stamp] = max(1, until - stamp)
            for packet in self._stream.encode(self._picture(before, stamp, lengths[stamp])):
                yield self._timed(packet, lengths)
            if following is None:
                break
            shown, before, following = stamp, following, next(rest, None)
        for packet in self._stream.encode(None):
            yield self._timed(packet, lengths)

    def _picture(
        self, shown: tuple[float, av.VideoFrame, av.VideoStream], stamp: int, length: int
    ) -> av.VideoFrame:
        _, frame, stream = shown
        picture = self._upright.turn(frame, stream, self._size)
        if self._size is None:
            self._size = picture.width, picture.height
            self._context.width, self._context.height = self._size
            if self._context.name not in _OPTIONS:
                pixels = picture.width * picture.height * float(self._context.framerate or 25)
                self._context.bit_rate = round(_BITS_PER_PIXEL * pixels)
        picture.pts, picture.duration = stamp, length
        picture.time_base = fractions.Fraction(1, _TICKS)
        picture.pict_type = 0  # the encoder chooses its key frames
        return picture

    def _timed(self, packet: av.Packet, lengths: dict[int, int]) -> _Timed:
        # The muxer reads the duration of the last frame, and so that of the track, from here.
        packet.duration = lengths.pop(round(packet.pts * packet.time_base * _TICKS), 0)
        return float(packet.pts * packet.time_base), 0, packet


class _Audio:
    """Encodes the samples.

    Args:
      target: the file to write.
      sound: the film's audio.
    """

    def __init__(self, target: av.container.OutputContainer, sound: Sound):
        self._sound = sound
        self._stream = target.add_stream("aac", rate=sound.rate, layout=sound.layout)
        self._stream.bit_rate = 96_000 * len(sound.channels)
        self._stream.time_base = fractions.Fraction(1, sound.rate)

    def packets(self, blocks: Iterator[np.ndarray]) -> Iterator[_Timed]:
        """Yield (seconds in the clip, 1, packet) for blocks of samples, float32 [channels, n]."""
        position = 0
        for block in _regrouped(blocks, AAC_SAMPLES):
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._sound.layout)
            frame.sample_rate, frame.pts = self._sound.rate, position
            frame.time_base = fractions.Fraction(1, self._sound.rate)
            position += block.shape[1]
            yield from self._encoded(frame)
        yield from self._encoded(None)

    def _encoded(self, frame: av.AudioFrame | None) -> Iterator[_Timed]:
        for packet in self._stream.encode(frame):
            yield float((packet.pts or 0) * packet.time_base), 1, packet


def _regrouped(blocks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield the same samples in blocks of one size; the last block may be shorter."""
    waiting: list[np.ndarray] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += block.shape[1]
        if count < size:
            continue
        joined = np.concatenate(waiting, axis=1)
        whole = count - count % size
        for first in range(0, whole, size):
            yield np.ascontiguousarray(joined[:, first : first + size])
        waiting, count = [joined[:, whole:]], count - whole
    if count:
        yield np.ascontiguousarray(np.concatenate(waiting, axis=1))
