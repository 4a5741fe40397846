# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One sequential pass over a stream's frames, from a given time on, in bounded memory."""

from __future__ import annotations

import bisect
import collections
import math
from collections.abc import Callable, Iterator

import av

from mmv_tf.data.media.container import start_of
from mmv_tf.data.media_limits import MediaError

# Timestamps are rounded by containers (to 1 ms in Matroska); a frame that is this little late
# still counts as being there.
TIME_TOLERANCE = 2e-3
# Where to seek before the wanted time: containers seek by decoding time, which can be earlier than
# presentation time, and an audio decoder needs some packets before it is right. None: the start.
_SEEK_BACK = (1.0, 10.0, None)
# Decoders that can leave out frames that no other frame needs, exactly. (HEVC's notion of such a
# frame looks at its own temporal layer only.)
_CAN_LEAVE_OUT = ("h264", "mpeg4")
# Packets to look ahead for the next frame's time; 16 is the most that H.264 reorders.
_LOOK_AHEAD = 32


def decode_from(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    start: float,
    wanted: Callable[[float, float], bool] | None = None,
) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
    """(time, frame) from at or before `start` on, if the stream reaches back so far.

    With `wanted`, frames may be left out that are on screen only when it is false.
    """
    origin = start_of(container)
    found = True
    for back in _SEEK_BACK:
        from_start = back is None or start <= back
        if back is None and not found:
            return  # The stream ended before: no reason to decode all of it.
        if not from_start:
            assert back is not None
            container.seek(
                int((start - back + origin) / stream.time_base), stream=stream, backward=True
            )
        elif back is not _SEEK_BACK[0] and start > 0:
            container.seek(0, backward=True)
        first, found = True, False
        for frame in _decode(container, stream, wanted, origin):
            found = True
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                raise MediaError(
                    f"{container.name}: frames have no times; copy the file into another container "
                    "(ffmpeg -i in -c copy out.mp4)."
                )
            time = float(stamp * frame.time_base) - origin
            if first and not from_start and time > start + TIME_TOLERANCE:
                break  # Landed too late: seek further back.
            first = False
            yield time, frame
        if not first or from_start:
            return


def _decode(
    container: av.container.InputContainer,
    stream: av.VideoStream | av.AudioStream,
    wanted: Callable[[float, float], bool] | None,
    origin: float,
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """All frames from where the container stands on, but for some that are not `wanted`.

    At ten frames a second of thirty, a third of a usual H.264 film need not be decoded. A frame is
    on screen until the next one's time, which comes in one of the next packets: a packet's time of
    decoding is no later than the time of any frame that is still to come.
    """
    context = stream.codec_context
    if wanted is None or context.name not in _CAN_LEAVE_OUT:
        yield from container.decode(stream)
        return
    waiting: collections.deque[av.Packet] = collections.deque()
    stamps: list[int] = []
    latest, started = -math.inf, False

    def seconds(stamp: int) -> float:
        return float(stamp * stream.time_base) - origin

    def next_stamp(stamp: int) -> int | None:
        """The next frame's, None if that is not known yet."""
        place = bisect.bisect_right(stamps, stamp)
        return stamps[place] if place < len(stamps) and stamps[place] <= latest else None

    def decoded(packet: av.Packet) -> Iterator[av.VideoFrame | av.AudioFrame]:
        nonlocal started
        leave_out = False
        # The first frame is also shown before its time.
        if started and packet.pts is not None:
            after = next_stamp(packet.pts)
            leave_out = after is not None and not wanted(seconds(packet.pts), seconds(after))
        context.skip_frame = "NONREF" if leave_out else "DEFAULT"
        for frame in packet.decode():
            started = True
            yield frame

    try:
        for packet in container.demux(stream):
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
