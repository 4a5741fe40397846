# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One track's timing, collected from its packets."""

from __future__ import annotations

import dataclasses
import math

import av

from mmv_tf.data.media.container import unwrapped
from mmv_tf.data.media.packets import decode_packet

# Ours: a track without a frame after this many packets is not used.
_MOST_SILENT_PACKETS = 250
# Ours: shortest gap between frames that is reported, in a film in which at most this fraction of
# the intervals between frames is unusual.
_HOLE_SECONDS = 0.5
_MOST_IRREGULAR = 0.02


@dataclasses.dataclass
class TrackTimes:
    """Timing of a track's packets, in units of its time base.

    Attributes:
      stream: the track.
      period: seconds after which the clock wraps to 0; None if it does not.
      by_order: whether to use decoding times because presentation times are guesses.
      first: the first frame that has a time.
      begin: time of the first packet, with `by_order`.
      delay: packets that entered the decoder before the one that returned the first frame.
      damaged: packets before the first frame that can't be decoded.
      timeless: frames without a time.
      count, earliest, latest, last_duration: number and times of the packets.
      before: decoding time of the previous packet.
      regular, irregular: counts of usual and unusual intervals between frames.
      hole: seconds missing between frames.
    """

    stream: av.VideoStream | av.AudioStream
    period: float | None
    by_order: bool
    first: av.VideoFrame | av.AudioFrame | None = None
    begin: int | None = None
    delay: int = 0
    damaged: int = 0
    timeless: int = 0
    count: int = 0
    earliest: int | None = None
    latest: int | None = None
    last_duration: int = 0
    before: int | None = None
    regular: int = 0
    irregular: int = 0
    hole: float = 0.0

    def __post_init__(self) -> None:
        rate = self.stream.average_rate if isinstance(self.stream, av.VideoStream) else None
        self._usual = 1 / float(rate) if rate else 0.0  # seconds per frame
        self._unit = float(self.stream.time_base)

    def add(self, packet: av.Packet) -> None:
        """Record a packet's times."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if self.by_order and packet.dts is not None:
            stamp = packet.dts
            self.begin = stamp if self.begin is None else self.begin
        if stamp is None or packet.is_discard:
            return
        self._note_interval(packet.dts)
        if self.earliest is not None and self.period is not None:
            since = unwrapped((stamp - self.earliest) * self._unit, self.period)
            stamp = self.earliest + round(since / self._unit)
        self.count += 1
        if self.earliest is None or stamp < self.earliest:
            self.earliest = stamp
        if self.latest is None or stamp >= self.latest:
            self.latest, self.last_duration = stamp, packet.duration or 0

    def decode_first(self, packet: av.Packet) -> None:
        """Decode a packet unless the first frame with a time has been found; keep that frame."""
        # The empty packet at the end flushes the decoder.
        if self.first is not None or (self.count > _MOST_SILENT_PACKETS and packet.size):
            return
        frames = decode_packet(packet)
        if frames is None:
            self.damaged += 1
            return
        for frame in frames:
            if self.by_order or frame.pts is not None or frame.dts is not None:
                self.first = frame
                return
            self.timeless += 1
        # Without a frame, the decoder holds the packet back, unless it can't use it.
        self.delay += 1

    def _note_interval(self, time: int | None) -> None:
        """Count usual intervals between frames, and the time missing in unusual ones."""
        if time is None or not self._usual:
            return
        if self.before is not None:
            gap = (time - self.before) * self._unit
            if 0 < gap < 1.6 * self._usual:
                self.regular += 1
            else:
                self.irregular += 1
                if gap > max(_HOLE_SECONDS, 5 * self._usual):
                    self.hole += gap - self._usual
        self.before = time

    @property
    def missing(self) -> float:
        """Seconds without frames in an otherwise regular film."""
        return self.hole if self.irregular <= _MOST_IRREGULAR * self.regular else 0.0

    @property
    def end(self) -> float:
        """End of the last packet, in seconds as stored."""
        if self.latest is None or self.earliest is None:
            return -math.inf
        last = float(self.last_duration * self.stream.time_base)
        if self.by_order and self.count > 1:
            # Some writers use units that are shorter than a frame.
            usual = (self.latest - self.earliest) / (self.count - 1)
            last = max(last, float(usual * self.stream.time_base))
        elif not last:
            last = self._usual
        return float(self.latest * self.stream.time_base) + last
