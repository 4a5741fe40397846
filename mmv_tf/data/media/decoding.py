# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes one track, starting at a given time, sequentially and in bounded memory."""

from __future__ import annotations

import bisect
import collections
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Literal, cast

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import open_container, unwrapped
from mmv_tf.data.media.packets import Tally, decode_packet, read_packets
from mmv_tf.data.media.scan import Part

Kind = Literal["video", "audio"]
# Containers round timestamps (Matroska to 1 ms): a frame this little late still counts as present.
TIME_TOLERANCE = 2e-3
# Seconds to seek before the requested time: containers seek by decoding time, which can be earlier
# than presentation time, and an audio decoder needs some packets to settle. None: the start.
_SEEK_BACK = (1.0, 10.0, None)
# Additional seconds for MPEG program streams, which store a time only now and then.
_STEADY_SECONDS = 2.0
# Ours: frames by which a time of an MPEG program stream may be off, and for how many frames.
_MOST_OFF = 3.5
_OFF_FOR = 20
# Decoders that skip exactly the frames that no other frame needs. (HEVC's "non-reference" covers
# a frame's own temporal layer only.)
_CAN_LEAVE_OUT = ("h264", "mpeg4")
# Packets to read ahead for the next frame's time; H.264 reorders at most 16.
_LOOK_AHEAD = 32


def decode_from(
    path: str | pathlib.Path,
    part: Part,
    kind: Kind,
    start: float,
    wanted: Callable[[float, float], bool] | None = None,
    tally: Tally | None = None,
) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame, av.VideoStream | av.AudioStream]]:
    """Yield (time, frame, track), starting at or before `start` if the track begins early enough.

    Args:
      path: the file.
      part: the part to read, with its clock; times are seconds on the film's clock.
      kind: the track, "video" or "audio".
      start: the first time needed.
      wanted: called with the times between which a frame is on screen; returns whether the frame is
        needed. Other frames may be skipped.
      tally: counts the packets from `start` on.

    Raises:
      MediaError: the file can't be read, or its frames have no timestamps.
    """
    found = True
    for back in _SEEK_BACK:
        if back is None and not found:
            return  # The track ends earlier, so decoding it all would be useless.
        if back is not None and start - part.start <= back:
            back = None  # Decode from the start.
        # Reopened each time: not every container can seek back to its start.
        with open_container(path, part.slice) as container:
            number = part.video if kind == "video" else part.audio
            stream = cast(av.VideoStream | av.AudioStream, container.streams[number])
            clock = _Clock(stream, part)
            if back is not None:
                more = _STEADY_SECONDS if clock.is_steady else 0.0
                try:
                    container.seek(clock.stamp(start - back - more), stream=stream, backward=True)
                except av.FFmpegError:
                    continue  # MPEG program streams can't seek everywhere.
            first, found = True, False
            for time, frame in _placed(container, stream, clock, start, wanted, tally):
                found = True
                if first and back is not None and time > start + TIME_TOLERANCE:
                    break  # The seek landed too late: go further back.
                first = False
                yield time, frame, stream
            if clock.without_time and not found:
                raise MediaError(
                    f"{path}: frames have no timestamps; copy the file into another container "
                    "(ffmpeg -i in -c copy out.mp4)."
                )
            if not first or back is None:
                return


def _placed(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    clock: _Clock,
    start: float,
    wanted: Callable[[float, float], bool] | None,
    tally: Tally | None,
) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
    """Yield frames with their times, from the container's position on."""
    if isinstance(stream, av.VideoStream):
        stream.codec_context.thread_count = 1  # Parallelism comes from processes.
    frames = _decode(container, stream, wanted, clock, start, tally)
    placed = ((time, frame) for frame in frames if (time := clock.time(frame)) is not None)
    return _steady(placed) if clock.is_steady else placed


def _steady(
    frames: Iterator[tuple[float, av.VideoFrame | av.AudioFrame]],
) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
    """Place each frame of an MPEG program stream where the previous frame ends.

    Such a stream stores about one frame time in twelve. FFmpeg guesses the others, and assigns a
    time to the wrong frame where a header spans two packets. Decoders return frames in display
    order, so each frame directly follows the previous one, unless its time is off by more than
    three frames, or by less in each of the last twenty.
    """
    expected, off = -math.inf, 0
    for time, frame in frames:
        length = float(frame.duration * frame.time_base) if frame.duration else 0.0
        difference = abs(time - expected)
        off = off + 1 if difference > length / 2 else 0
        if difference <= _MOST_OFF * length and off <= _OFF_FOR:
            time = expected
        else:
            off = 0
        expected = time + length
        yield time, frame


class _Clock:
    """Converts a track's timestamps to seconds on the film's clock."""

    def __init__(self, stream: av.VideoStream | av.AudioStream, part: Part):
        self._base = stream.time_base
        self._origin = part.origin
        self._period = part.period
        self._start = part.start
        self._delay = part.delay if isinstance(stream, av.VideoStream) else None
        self._fed: collections.deque[int] = collections.deque(maxlen=(part.delay or 0) + 1)
        self.is_steady = part.is_program_stream and isinstance(stream, av.VideoStream)
        self.without_time = 0

    @property
    def by_order(self) -> bool:
        """True if frames are placed by decoding order, because stored times are unreliable."""
        return self.is_steady or self._delay is not None

    def seconds(self, stamp: int) -> float:
        """Return a stored timestamp as seconds on the film's clock."""
        # Rounds as a fraction would, but much faster: this runs for each packet.
        stored = stamp * self._base.numerator / self._base.denominator
        return unwrapped(stored - self._origin, self._period) + self._start

    def stamp(self, time: float) -> int:
        """Return a time on the film's clock as a stored timestamp, rounded down."""
        return math.floor((time - self._start + self._origin) / self._base)

    def feed(self, packet: av.Packet) -> None:
        """Record a packet that enters the decoder."""
        if self._delay is not None and packet.dts is not None:
            self._fed.append(packet.dts)

    def time(self, frame: av.VideoFrame | av.AudioFrame) -> float | None:
        """Return the time at which a frame is presented, or None if unknown."""
        if self._delay is not None:
            # The n-th frame belongs to the n-th packet; the end brings no more packets.
            return self.seconds(self._fed.popleft()) if self._fed else None
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            self.without_time += 1
            return None
        return self.seconds(stamp)


def _decode(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    wanted: Callable[[float, float], bool] | None,
    clock: _Clock,
    start: float,
    tally: Tally | None,
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """Yield all frames from the container's position on, except some that are not `wanted`.

    When reading 10 of 30 frames per second, a third of a typical H.264 film need not be decoded. A
    frame is on screen until the next frame's time, which one of the following packets states: a
    packet's decoding time is never later than the time of any frame still to come.

    Packets that can't be decoded are skipped. Packets before `start` are not counted, because the
    first packets after a seek may begin inside a frame, which is not damage.
    """

    def frames_of(packet: av.Packet) -> list[av.VideoFrame] | list[av.AudioFrame]:
        clock.feed(packet)
        frames = decode_packet(packet)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if tally is not None and packet.size and stamp is not None:
            time = clock.seconds(stamp)
            if time >= start:
                (tally.damaged if frames is None else tally.decoded).append(time)
        return frames or []

    context = stream.codec_context
    if wanted is None or context.name not in _CAN_LEAVE_OUT or clock.by_order:
        for packet in read_packets(container, stream):
            yield from frames_of(packet)
        return
    waiting: collections.deque[av.Packet] = collections.deque()
    stamps: list[int] = []
    latest, started = -math.inf, False

    def next_stamp(stamp: int) -> int | None:
        """Return the next frame's timestamp, or None if it is not yet known."""
        place = bisect.bisect_right(stamps, stamp)
        return stamps[place] if place < len(stamps) and stamps[place] <= latest else None

    def decoded(packet: av.Packet) -> Iterator[av.VideoFrame | av.AudioFrame]:
        nonlocal started
        leave_out = False
        # The first frame is also on screen before its time.
        if started and packet.pts is not None:
            after = next_stamp(packet.pts)
            leave_out = after is not None and not wanted(
                clock.seconds(packet.pts), clock.seconds(after)
            )
        context.skip_frame = "NONREF" if leave_out else "DEFAULT"
        for frame in frames_of(packet):
            started = True
            yield frame

    try:
        for packet in read_packets(container, stream):
            waiting.append(packet)
            if packet.pts is not None and packet.dts is not None:
                bisect.insort(stamps, packet.pts)
                del stamps[: -2 * _LOOK_AHEAD]
                latest = max(latest, packet.dts)
            while waiting and (
                waiting[0].pts is None
                or next_stamp(waiting[0].pts) is not None
                or len(waiting) > _LOOK_AHEAD
            ):
                yield from decoded(waiting.popleft())
        while waiting:
            yield from decoded(waiting.popleft())
    finally:
        context.skip_frame = "DEFAULT"
