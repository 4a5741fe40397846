# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Detects joined files by a jump in the clocks of all tracks.

Timestamps restart in the middle of a concatenated recording (`cat a.ts b.ts`, the segments of a
recorder, chained Ogg). Each piece is then read as a separate file.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import clock_period

# Ours. Decoding times increase; a clock that falls back by more than this has restarted.
_BACK_SECONDS = 0.15
# As in FFmpeg's -dts_delta_threshold, and for the same containers: transport and program streams
# are cut and joined without adjusting their times.
_FORWARD_SECONDS = 10.0
_FORWARD_FORMATS = ("mpegts", "mpeg")
# Ours: how far one track may lag another at a join.
_APART_SECONDS = 10.0
_LATE_SECONDS = 0.25  # Ours.
# First bytes of a piece: Matroska's EBML header, FLAC's STREAMINFO, an MPEG pack, FLV's signature.
_HEADERS = {
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3(?=.{0,64}?(?:matroska|webm))", re.DOTALL),
    "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    "mpeg": re.compile(rb"\x00\x00\x01\xba"),
    "flv": re.compile(rb"FLV\x01"),
}
_HEADER_BYTES = 80  # At least as many as each expression reads.
_TS_PACKET = 188
_FLAC_GUESS = 1 << 20  # FFmpeg guesses the positions of FLAC frames.
_MOST_HEADER_BYTES = 64 << 20  # Ours: from the last packet of a piece to the first of the next.


@dataclasses.dataclass
class _Track:
    """The state of a track's clock, in units of its time base.

    Attributes:
      seconds: the length of a unit.
      period: seconds after which the clock wraps to 0; None if it does not.
      time, latest: the latest decoding time and presentation time so far.
      jumped: True once the clock has jumped.
      after: seconds of packets since the clock of another track jumped.
    """

    seconds: float
    period: float | None = None
    time: int | None = None
    latest: int | None = None
    jumped: bool = False
    after: float = 0.0

    def jump(self, packet: av.Packet, forward: bool) -> float:
        """Return the seconds by which a packet's time jumps, or 0 if it does not."""
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
        """Return a time difference in seconds, the shorter way around a clock that wraps."""
        seconds = stamps * self.seconds
        if self.period is None or abs(seconds) < self.period / 2:
            return seconds
        return (seconds + self.period / 2) % self.period - self.period / 2


class JoinFinder:
    """Finds the position where the clocks of all tracks jump."""

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
        """Add the next packet; return whether the clocks of all tracks have jumped."""
        track = self._tracks[packet.stream_index]
        step = track.jump(packet, self._forward)
        if step and not self._step:
            high = packet.pos if packet.pos is not None else self._low
            if self._format == "matroska" and self._header(high) is None:
                # Decoding times in Matroska are FFmpeg's guesses, which may fall back anywhere.
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
        """Return whether the file ends with a join after which only some tracks continue."""
        # A parser returns the last packet of a track late.
        return self._step != 0.0 and all(
            t.jumped or t.after < _LATE_SECONDS for t in self._tracks.values()
        )

    def unread(self) -> int | None:
        """Return the byte where another file begins that FFmpeg does not read, or None."""
        size = pathlib.Path(self._path).stat().st_size
        low = self._begin + self._low + 1
        if self._format in ("flv", "matroska"):
            return next(self._headers(low, min(size, low + _MOST_HEADER_BYTES)), None)
        return _second_mp4(self._path, self._begin, size) if self._format == "mov" else None

    def contradiction(self) -> str | None:
        """Describe a clock that jumps back while others continue; return None if there is none."""
        if self._step >= 0.0 or self.at_end() or all(t.jumped for t in self._tracks.values()):
            return None
        kind = next(self._kinds[index] for index, t in self._tracks.items() if t.jumped)
        return (
            f"the timestamps of its {kind} jump back by {-self._step:.1f} s, but those of other "
            "tracks do not"
        )

    def byte(self) -> int:
        """Return the byte where the next piece begins.

        Raises:
          MediaError: no container begins there.
        """
        if self._format == "mpegts":
            # The demuxer skips the rest of the previous packet.
            return self._begin + min(self._low + _TS_PACKET, max(self._high, self._low + 1))
        found = self._header(self._high)
        if found is None:
            raise MediaError(
                f"{self._path}: its timestamps jump back by {-self._step:.1f} s; files were joined "
                "in a way that can't be read; join them again (ffmpeg -f concat)."
            )
        return found

    def _header(self, high: int) -> int | None:
        """Return the byte where the piece begins whose first packet is at `high`."""
        low = self._begin + self._low + 1
        if self._format == "flac":
            # The positions of packets are guesses.
            low, high = self._begin + 1, high + _FLAC_GUESS
        found = list(self._headers(low, self._begin + high + _HEADER_BYTES))
        # A program stream has many packs, each with a header: the last one starts the piece.
        return found[-1 if self._format == "mpeg" else 0] if found else None

    def _headers(self, low: int, high: int) -> Iterator[int]:
        """Yield the positions of headers in a byte range of the file."""
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
    """Return the byte where the next piece of a chained Ogg file begins (RFC 3533).

    A piece begins with one page for each track, marked as the track's first.

    Args:
      path: the file.
      begin: the byte where a piece begins.

    Returns:
      The byte; None after the last piece, or if the file is not an Ogg file.
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
    """Return the start of a second MP4 file after a complete one: an ftyp box after a moov box."""
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
