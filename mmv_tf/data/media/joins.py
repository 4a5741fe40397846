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
from collections.abc import Iterator, Sequence

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import clock_period

# Ours. Times of decoding rise; what falls back by more than this has begun anew.
_BACK_SECONDS = 0.15
# As the program ffmpeg's -dts_delta_threshold, and for the same containers: transport and program
# streams are cut and joined without their times being made to fit.
_FORWARD_SECONDS = 10.0
_FORWARD_FORMATS = ("mpegts", "mpeg")
# Ours: by how long one track may be behind another at a join.
_APART_SECONDS = 10.0
_LATE_SECONDS = 0.25  # Ours.
# What a piece of a container begins with: Matroska's EBML header, FLAC's STREAMINFO, a pack.
_HEADERS = {
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3(?=.{0,64}?(?:matroska|webm))", re.DOTALL),
    "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    "mpeg": re.compile(rb"\x00\x00\x01\xba"),
    "flv": re.compile(rb"FLV\x01"),
}
_HEADER_BYTES = 80  # As many as an expression looks at.
_TS_PACKET = 188
_FLAC_GUESS = 1 << 20  # Where a frame begins is guessed.
_MOST_HEADER_BYTES = 64 << 20  # Ours: between the last packet of a piece and the next one's first.


@dataclasses.dataclass
class _Track:
    """Where a track's clock stands, in units of its time base.

    Attributes:
      seconds: of a unit.
      period: seconds after which its clock begins again at 0; None if it doesn't.
      time, latest: of decoding and of presentation, the latest so far.
      jumped: whether its clock has jumped.
      after: seconds of packets since another track's clock has.
    """

    seconds: float
    period: float | None = None
    time: int | None = None
    latest: int | None = None
    jumped: bool = False
    after: float = 0.0

    def jump(self, packet: av.Packet, forward: bool) -> float:
        """By how many seconds a packet's time is off the clock, 0 if it isn't."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None or stamp is None:
            return 0.0
        step = 0.0
        if self.time is not None and self.latest is not None:
            step = self._step(time - self.time)
            ahead = min(step, self._step(stamp - self.latest))
            if not (step < -_BACK_SECONDS or (forward and ahead > _FORWARD_SECONDS)):
                step = 0.0
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


class JoinFinder:
    """Looks at the packets of some tracks for the place where the clock of all of them jumps."""

    def __init__(
        self,
        container: av.container.InputContainer,
        streams: Sequence[av.VideoStream | av.AudioStream],
        path: str | pathlib.Path,
        begin: int,
    ):
        self._path, self._begin = path, begin
        self._format = container.format.name.split(",")[0]
        self._forward = self._format in _FORWARD_FORMATS
        period = clock_period(container)
        self._tracks = {s.index: _Track(float(s.time_base), period) for s in streams}
        self._kinds = {stream.index: stream.type for stream in streams}
        self._step = self._since = 0.0
        self._low, self._high = 0, 0

    def jumps(self, packet: av.Packet) -> bool:
        """Takes the next packet; whether the clocks of all tracks have jumped."""
        track = self._tracks[packet.stream_index]
        step = track.jump(packet, self._forward)
        if step and not self._step:
            high = packet.pos if packet.pos is not None else self._low
            if self._format == "matroska" and self._header(high) is None:
                # Its times of decoding are FFmpeg's guesses, which fall back by themselves.
                step = 0.0
            else:
                self._step, self._high = step, high
        if step and abs(step - self._step) < _APART_SECONDS:
            track.jumped = True
        if not self._step:
            if packet.pos is not None:
                self._low = max(self._low, packet.pos)
            return False
        if not track.jumped:
            if packet.pos is not None and packet.pos < self._high:
                self._low = max(self._low, packet.pos)
            length = (packet.duration or 0) * track.seconds
            track.after += length
            self._since += length
            if self._since > _APART_SECONDS and self._step > 0:
                self._forget()  # A track with a gap, not a join.
        return all(t.jumped or t.time is None for t in self._tracks.values())

    def _forget(self) -> None:
        self._step = self._since = 0.0
        for track in self._tracks.values():
            track.jumped, track.after = False, 0.0

    def at_end(self) -> bool:
        """Whether there was a join after which only some of the tracks go on."""
        # A parser gives a track's last packet late.
        return self._step != 0.0 and all(
            t.jumped or t.after < _LATE_SECONDS for t in self._tracks.values()
        )

    def unread(self) -> int | None:
        """The byte at which a file begins that FFmpeg does not read: it stops before; or None."""
        size = pathlib.Path(self._path).stat().st_size
        low = self._begin + self._low + 1
        if self._format in ("flv", "matroska"):
            return next(self._headers(low, min(size, low + _MOST_HEADER_BYTES)), None)
        return _second_mp4(self._path, self._begin, size) if self._format == "mov" else None

    def contradiction(self) -> str | None:
        """What is wrong where one track's clock falls back and another's goes on; else None."""
        if self._step >= 0.0 or self.at_end() or all(t.jumped for t in self._tracks.values()):
            return None
        kind = next(self._kinds[index] for index, t in self._tracks.items() if t.jumped)
        return f"the times of its {kind} fall back by {-self._step:.1f} s and others do not"

    def byte(self) -> int:
        """The byte at which the next piece begins.

        Raises:
          MediaError: there is no beginning of a container.
        """
        if self._format == "mpegts":
            # What is left of the last packet before is passed over by the demuxer.
            return self._begin + min(self._low + _TS_PACKET, max(self._high, self._low + 1))
        found = self._header(self._high)
        if found is None:
            raise MediaError(
                f"{self._path}: its times fall back by {-self._step:.1f} s; it was joined from "
                "several in a way that can't be read; join them anew (ffmpeg -f concat)."
            )
        return found

    def _header(self, high: int) -> int | None:
        """Where the piece begins whose first packet is at a byte."""
        low = self._begin + self._low + 1
        if self._format == "flac":
            # Where its packets are is guessed.
            low, high = self._begin + 1, high + _FLAC_GUESS
        found = list(self._headers(low, self._begin + high + _HEADER_BYTES))
        # A program stream has a header in each of many packs: the last one is the piece's.
        return found[-1 if self._format == "mpeg" else 0] if found else None

    def _headers(self, low: int, high: int) -> Iterator[int]:
        """Where headers stand in a part of the file."""
        header = _HEADERS.get(self._format)
        if header is None or high <= low:
            return
        low = max(low, high - _MOST_HEADER_BYTES)
        with open(self._path, "rb") as file:
            file.seek(low)
            data = file.read(high - low)
        for match in header.finditer(data):
            yield low + match.start()


def ogg_piece_end(path: str | pathlib.Path, begin: int) -> int | None:
    """Where the next piece of a chained Ogg file begins, by its pages alone (RFC 3533).

    A piece begins with one page for each of its tracks, marked as the first of the track.

    Args:
      path: the file.
      begin: the byte at which a piece begins.

    Returns:
      The byte; None at the last piece, or where the file is no Ogg file.
    """
    at, has_data = begin, False
    with open(path, "rb") as file:
        while True:
            file.seek(at)
            page = file.read(27 + 255)
            if len(page) < 27 or page[:4] != b"OggS":
                return None
            is_first = bool(page[5] & 2)
            if is_first and has_data:
                return at
            has_data = has_data or not is_first
            at += 27 + page[26] + sum(page[27 : 27 + page[26]])


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
