# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds where a file was joined from several: where the clock of all its tracks jumps.

Recordings that were put end to end (`cat a.ts b.ts`, a recorder's pieces, chained Ogg) begin their
times anew in the middle. Each piece is then read as a file of its own.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence

import av

from mmv_tf.data.media.container import clock_period
from mmv_tf.data.media_limits import MediaError

# Ours. Times of decoding rise; what falls back by more than this has begun anew.
_BACK_SECONDS = 0.5
# As the program ffmpeg's -dts_delta_threshold, and for the same containers: transport and program
# streams are cut and joined without their times being made to fit.
_FORWARD_SECONDS = 10.0
_FORWARD_FORMATS = ("mpegts", "mpeg")
# Ours: by how long one track may be behind another at a join.
_APART_SECONDS = 10.0
# What a piece of a container begins with.
_SIGNATURES = {
    "matroska": b"\x1a\x45\xdf\xa3",
    "ogg": b"OggS\x00\x02",
    "flac": b"fLaC",
    "mpeg": b"\x00\x00\x01\xba",
}
_TS_PACKET = 188
_FLAC_GUESS = 1 << 20  # Where a frame begins is guessed.
_MOST_HEADER_BYTES = 64 << 20  # Ours: between the last packet of a piece and the next one's first.


@dataclasses.dataclass
class _Track:
    """Where a track's clock stands, in units of its time base.

    Attributes:
      seconds: of a unit.
      reordering: seconds by which times fall back between the pictures of one recording.
      period: seconds after which its clock begins again at 0; None if it doesn't.
      time, latest: of decoding and of presentation, the latest so far.
      jumped: whether its clock has jumped.
      after: packets since another track's clock has.
    """

    seconds: float
    reordering: float = 0.0
    period: float | None = None
    time: int | None = None
    latest: int | None = None
    jumped: bool = False
    after: int = 0

    def jump(self, packet: av.Packet, forward: bool) -> float:
        """By how many seconds a packet's time is off the clock, 0 if it isn't."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None or stamp is None:
            return 0.0
        step = 0.0
        if self.time is not None and self.latest is not None:
            steps = self._step(time - self.time), self._step(stamp - self.latest)
            if max(steps) < -max(_BACK_SECONDS, self.reordering):
                step = max(steps)
            elif forward and min(steps) > _FORWARD_SECONDS:
                step = min(steps)
        if self.time is None or step or self._step(time - self.time) > 0:
            self.time = time
        if self.latest is None or step or self._step(stamp - self.latest) > 0:
            self.latest = stamp
        return step

    def _step(self, stamps: int) -> float:
        """A difference of two times in seconds, the shorter way round a clock that wraps."""
        seconds = stamps * self.seconds
        if self.period is None or abs(seconds) < self.period / 2:
            return seconds
        return (seconds + self.period / 2) % self.period - self.period / 2


def _reordering(stream: av.VideoStream | av.AudioStream) -> float:
    """By how many seconds times of presentation fall back: H.264 reorders 16 pictures."""
    if isinstance(stream, av.VideoStream) and stream.average_rate:
        return 17 / float(stream.average_rate)
    return 0.0


class JoinFinder:
    """Looks at the packets of some tracks for the place where the clock of all of them jumps."""

    def __init__(
        self,
        container: av.container.InputContainer,
        streams: Sequence[av.VideoStream | av.AudioStream],
    ):
        self._format = container.format.name.split(",")[0]
        self._forward = self._format in _FORWARD_FORMATS
        period = clock_period(container)
        self._tracks = {
            s.index: _Track(float(s.time_base), _reordering(s), period) for s in streams
        }
        self._kinds = {stream.index: stream.type for stream in streams}
        self._step = self._since = 0.0
        self._low, self._high = 0, 0

    def jumps(self, packet: av.Packet) -> bool:
        """Takes the next packet; whether the clocks of all tracks have jumped."""
        track = self._tracks[packet.stream_index]
        begun = self._step != 0.0
        step = track.jump(packet, self._forward)
        if step and not begun:
            self._step, self._high = step, packet.pos if packet.pos is not None else self._low
            track.jumped = True
        elif step and abs(step - self._step) < _APART_SECONDS:
            track.jumped = True
        if not self._step:
            if packet.pos is not None:
                self._low = max(self._low, packet.pos)
            return False
        if not track.jumped:
            if packet.pos is not None and packet.pos < self._high:
                self._low = max(self._low, packet.pos)
            track.after += 1
            self._since += (packet.duration or 0) * track.seconds
            if self._since > _APART_SECONDS and self._step > 0:
                self._forget()  # A track with a gap, not a join.
        return all(t.jumped or t.time is None for t in self._tracks.values())

    def _forget(self) -> None:
        self._step = self._since = 0.0
        for track in self._tracks.values():
            track.jumped, track.after = False, 0

    def at_end(self) -> bool:
        """Whether there was a join after which only some of the tracks go on."""
        return self._step != 0.0 and not any(t.after for t in self._tracks.values())

    def unread(self, path: str | pathlib.Path, begin: int) -> int | None:
        """The byte at which a file begins that FFmpeg does not read: it stops before; or None.

        Args:
          path: the file.
          begin: the byte of it from which on it was opened.
        """
        size = pathlib.Path(path).stat().st_size
        if self._format == "flv":
            low = begin + self._low + 1
            found = _occurrences(path, b"FLV\x01", low, min(size, low + _MOST_HEADER_BYTES))
            return found[0] if found else None
        if self._format == "mov":
            return _second_mp4(path, begin, size)
        return None

    def contradiction(self) -> str | None:
        """What is wrong where one track's clock falls back and another's goes on; else None."""
        if self._step >= 0.0 or self.at_end() or all(t.jumped for t in self._tracks.values()):
            return None
        kind = next(self._kinds[index] for index, t in self._tracks.items() if t.jumped)
        return f"the times of its {kind} fall back by {-self._step:.1f} s and others do not"

    def byte(self, path: str | pathlib.Path, begin: int) -> int:
        """The byte at which the next piece begins.

        Args:
          path: the file.
          begin: the byte that the container's positions count from.

        Raises:
          MediaError: there is no beginning of a container.
        """
        if self._format == "mpegts":
            # What is left of the last packet before is passed over by the demuxer.
            return begin + min(self._low + _TS_PACKET, max(self._high, self._low + 1))
        signature = _SIGNATURES.get(self._format)
        if signature is not None:
            low, high = begin + self._low + 1, begin + self._high + len(signature)
            high += _FLAC_GUESS if self._format == "flac" else 0
            found = _BEGINNINGS[self._format](path, signature, begin, low, high)
            if found is not None:
                return found
        raise MediaError(
            f"{path}: its times fall back by {-self._step:.1f} s; it was joined from several in a "
            "way that can't be read; join them anew (ffmpeg -f concat)."
        )


def _occurrences(path: str | pathlib.Path, signature: bytes, low: int, high: int) -> list[int]:
    """Where a signature stands in a part of a file."""
    low = max(low, high - _MOST_HEADER_BYTES)
    with open(path, "rb") as file:
        file.seek(low)
        data = file.read(max(0, high - low))
    return [low + match.start() for match in re.finditer(re.escape(signature), data)]


def _first(
    path: str | pathlib.Path, signature: bytes, begin: int, low: int, high: int
) -> int | None:
    """The first header after the last packet of the piece before."""
    found = _occurrences(path, signature, low, high)
    return found[0] if found else None


def _last(
    path: str | pathlib.Path, signature: bytes, begin: int, low: int, high: int
) -> int | None:
    """The last header before a packet: a program stream has one in each of many packs."""
    found = _occurrences(path, signature, low, high)
    return found[-1] if found else None


def _ogg_pages(
    path: str | pathlib.Path, signature: bytes, begin: int, low: int, high: int
) -> int | None:
    """The first of the pages that begin the tracks of a piece, one after the other.

    FFmpeg gives the first packets of a piece the times of the piece before.
    """
    found = _occurrences(path, signature, begin + 1, high)
    if not found:
        return None
    first = found.pop()
    with open(path, "rb") as file:
        for at in reversed(found):
            file.seek(at)
            header = file.read(27)
            laces = file.read(header[26])
            if at + 27 + len(laces) + sum(laces) != first:
                break
            first = at
    # Those at the very start of the file begin it; nothing was joined there.
    return first if first > begin else None


def _second_mp4(path: str | pathlib.Path, begin: int, end: int) -> int | None:
    """Where a second MP4 file begins behind a whole one: a box of type ftyp after one of moov."""
    at, is_whole = begin, False
    with open(path, "rb") as file:
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1 and len(head) == 16:
                size = int.from_bytes(head[8:], "big")
            if name == b"ftyp" and is_whole:
                return at
            is_whole = is_whole or name == b"moov"
            if size < 8:
                return None
            at += size
    return None


_BEGINNINGS: dict[str, Callable[[str | pathlib.Path, bytes, int, int, int], int | None]] = {
    "matroska": _first,
    "flac": _first,
    "mpeg": _last,
    "ogg": _ogg_pages,
}
