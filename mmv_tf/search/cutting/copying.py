# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cutting without re-encoding: copies packets, beginning at a key frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import cast

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import open_container, unwrapped
from mmv_tf.data.media.packets import read_packets
from mmv_tf.data.media.scan import Part
from mmv_tf.data.media.timeline import Timeline

# Seconds to seek before the requested time, since containers seek by decoding time, and store audio
# earlier or later than the frames of its time. None: the start.
_SEEK_BACK = (1.0, 30.0, None)
_TOLERANCE = 2e-3  # containers round times to 1 ms
# Ours: a clip that begins this much before the requested start is of no use.
_MOST_BEFORE = 60.0


def copy(
    path: str, timeline: Timeline, start: float, end: float, output: str
) -> tuple[float, float]:
    """Write a part of a film by copying its packets.

    Args:
      path, timeline: the film.
      start, end: seconds on the film's clock.
      output: MP4 file to write.

    Returns:
      The times at which the clip starts and ends in the film.

    Raises:
      MediaError: MP4 can't hold the streams, the key frame before the start is far away, or packets
        have no times.
    """
    part = next(p for p in reversed(timeline.parts) if p.video is not None and p.start <= start)
    if part.delay is not None or part.is_program_stream:
        raise MediaError(
            f"{path}: its container stores no frame times (AVI, MPEG program stream); use "
            "mode exact instead."
        )
    end = min(end, part.start + part.length)
    key = _key_frame(path, part, start)
    if start - key > _MOST_BEFORE:
        raise MediaError(
            f"{path}: the key frame before {start:g} s is at {key:.2f} s; use mode exact instead."
        )
    options = {"movflags": "faststart"}
    try:
        # The source must be the inner context: `open_container` treats all errors as its own.
        with (
            av.open(output, "w", format="mp4", options=options) as target,
            open_container(path, part.slice) as source,
        ):
            return key, _copy_packets(path, source, target, part, key, end)
    except _WriteError as error:
        raise error.cause from None


class _WriteError(Exception):
    """An error in writing, which must not be mistaken for one in reading."""

    def __init__(self, cause: av.FFmpegError):
        super().__init__(str(cause))
        self.cause = cause


def _copy_packets(
    path: str,
    source: av.container.InputContainer,
    target: av.container.OutputContainer,
    part: Part,
    key: float,
    end: float,
) -> float:
    """Copy a span's packets so that the key frame's time becomes 0; return the end time."""
    video = source.streams[cast(int, part.video)]
    audio = None if part.audio is None else source.streams[part.audio]
    streams = [stream for stream in (video, audio) if stream is not None]
    for stream in streams:
        name = stream.codec_context.codec.canonical_name
        if name not in target.supported_codecs:
            raise MediaError(f"{path}: MP4 can't hold {name} as is; use mode exact instead.")
    copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
    if video.codec_context.codec.canonical_name == "hevc" and video.codec_context.extradata:
        # Apple's players accept no other name for HEVC; Matroska has none.
        copies[video.index].codec_context.codec_tag = "hvc1"
    _seek(source, video, part, key)
    last = key
    for packet, time in _wanted(path, source, streams, part, key, end):
        if packet.stream.index == video.index:
            last = max(last, time + float((packet.duration or 0) * packet.time_base))
        # On the source's clock, which may be far from 0 or wrap around.
        place = round((time - key) / packet.time_base)
        packet.pts, packet.dts = place, packet.dts + place - packet.pts
        packet.stream = copies[packet.stream.index]
        try:
            target.mux(packet)
        except av.FFmpegError as error:
            raise _WriteError(error) from None
    return last


def _wanted(
    path: str,
    source: av.container.InputContainer,
    streams: list[av.VideoStream | av.AudioStream],
    part: Part,
    key: float,
    end: float,
) -> Iterator[tuple[av.Packet, float]]:
    """Yield the packets from the key frame to the end, each with its time.

    Frames that precede the key frame but are stored after it need frames that are not copied.
    Frames that follow the end but are decoded before it may be needed by others.
    """
    video = streams[0].index
    started = False
    open_tracks = {stream.index for stream in streams}
    for packet in _with_decoding_times(path, read_packets(source, *streams)):
        time, decoded = _times(packet, part)
        if min(time, decoded) >= end - _TOLERANCE:
            open_tracks.discard(packet.stream.index)
            if not open_tracks:
                return
            continue
        if packet.stream.index == video:
            started = started or (packet.is_keyframe and abs(time - key) <= _TOLERANCE)
            if not started or time < key - _TOLERANCE:
                continue
        elif time < key - _TOLERANCE:
            continue
        yield packet, time


def _with_decoding_times(path: str, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Fill in decoding times, which Matroska's reader does not know for a film's first packets.

    They are counted back from the first known decoding time.

    Raises:
      MediaError: a packet has no time at all.
    """
    waiting: dict[int, list[av.Packet]] = {}
    known: set[int] = set()
    for packet in packets:
        if packet.pts is None and packet.dts is None:
            continue  # the empty packet at the end
        if packet.pts is None:
            raise MediaError(f"{path}: its packets have no times; use mode exact instead.")
        held = waiting.setdefault(packet.stream.index, [])
        if packet.stream.index not in known and packet.dts is None:
            held.append(packet)
            continue
        known.add(packet.stream.index)
        packet.dts = packet.pts if packet.dts is None else packet.dts
        yield from _counted_back(held, packet.dts)
        held.clear()
        yield packet
    for held in waiting.values():
        yield from _counted_back(held, max((packet.pts for packet in held), default=0) + 1)


def _counted_back(held: list[av.Packet], before: int) -> Iterator[av.Packet]:
    """Give packets decoding times before a known one, no later than their presentation times."""
    for index, packet in enumerate(held):
        step = max(1, packet.duration or 1)
        packet.dts = min(packet.pts, before - (len(held) - index) * step)
        yield packet


def _key_frame(path: str, part: Part, start: float) -> float:
    """Return the time of the last key frame that is not after `start`.

    Raises:
      MediaError: there is no such key frame, or a packet has no time.
    """
    for back in _SEEK_BACK:
        with open_container(path, part.slice) as source:
            video = source.streams[cast(int, part.video)]
            if back is not None and not _seek(source, video, part, start, back):
                continue
            found = -math.inf
            for packet in _with_decoding_times(path, read_packets(source, video)):
                time, decoded = _times(packet, part)
                if packet.is_keyframe and time <= start + _TOLERANCE:
                    found = max(found, time)
                if min(time, decoded) > start + _TOLERANCE:
                    break
            if math.isfinite(found):
                return found
    raise MediaError(f"{path}: there is no key frame before {start:g} s; use mode exact instead.")


def _seek(
    source: av.container.InputContainer,
    video: av.VideoStream,
    part: Part,
    time: float,
    back: float | None = _SEEK_BACK[0],
) -> bool:
    """Seek to a time or earlier; return whether the container supports it."""
    if back is None or time - part.start <= back:
        return True  # it has just been opened, and is at its start
    stamp = math.floor((time - back - part.start + part.origin) / video.time_base)
    try:
        source.seek(stamp, stream=video, backward=True)
    except av.FFmpegError:
        return False
    return True


def _times(packet: av.Packet, part: Part) -> tuple[float, float]:
    """Return when a packet is presented, and decoded, in seconds on the film's clock."""
    shown, decoded = (
        unwrapped(float(stamp * packet.time_base) - part.origin, part.period) + part.start
        for stamp in (packet.pts, packet.dts)
    )
    return shown, decoded
