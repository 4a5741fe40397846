# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses a stored clip's MP4 file: tracks, and times and positions of samples.

Nothing is decoded, and only what `clip_encoder` writes is accepted: at most one H.264 track and one
Opus or AAC track, not fragmented. Every count is checked against the bytes present before memory is
allocated for it; FFmpeg's own parser takes gigabytes for a one-kilobyte file that claims enough
samples.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

NOT_MP4 = "not an MP4"
TRUNCATED_MP4 = "truncated MP4"
UNSUPPORTED_MP4 = "unsupported MP4"

H264, OPUS, AAC = "h264", "opus", "aac"

# Ours: number of boxes in one place; real files have at most ten.
_MOST_BOXES = 64
# Ours: samples of a track, far more than a clip needs; a table of equal samples is free.
_MOST_SAMPLES = 1 << 20
_VIDEO, _SOUND = b"vide", b"soun"
_NAL_LENGTH_BYTES = 4
# Slices of a picture that refers to others, and of one that does not (ITU-T H.264, table 7-1).
_SLICES = (1, 5)


class Mp4Error(ValueError):
    """Raised for an MP4 file that cannot be read.

    Attributes:
      reason: one of the constants above.
      detail: a description.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason} ({detail})")
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True)
class Track:
    """One track; N is its number of samples, which are frames or packets of audio.

    Attributes:
      codec: H264, OPUS or AAC.
      setup: the codec's setup data, in the form that FFmpeg's decoder takes.
      timescale: number of time units per second.
      starts, sizes: int64 [N], position and size of each sample in the file, in bytes.
      times: int64 [N], time when each sample is shown or heard, in units of `timescale`, ascending;
        the first ones of audio may be negative, because a codec needs a run-up.
      end: time after the last sample.
      keys: int64, ascending indices of samples at which decoding can start.
      width, height: size of H.264 frames in pixels, otherwise 0.
    """

    codec: str
    setup: bytes
    timescale: int
    starts: np.ndarray
    sizes: np.ndarray
    times: np.ndarray
    end: int
    keys: np.ndarray
    width: int = 0
    height: int = 0


@dataclasses.dataclass(frozen=True)
class Mp4:
    """A file's tracks; None for a track that it lacks."""

    video: Track | None
    sound: Track | None


def read_mp4(data: bytes) -> Mp4:
    """Parse a file.

    Raises:
      Mp4Error: it is damaged, or contains something that `clip_encoder` does not write.
    """
    if data[4:8] != b"ftyp":
        raise Mp4Error(NOT_MP4, "it does not begin with a file type box")
    top = _boxes(data, 0, len(data))
    tracks: dict[bytes, Track] = {}
    movies = [span for kind, span in top if kind == b"moov"]
    if len(movies) != 1:
        raise Mp4Error(TRUNCATED_MP4, "it has no index" if not movies else "it has several indices")
    for kind, span in _boxes(data, *movies[0]):
        if kind == b"mvex":
            raise Mp4Error(UNSUPPORTED_MP4, "it is fragmented")
        if kind == b"trak":
            handler, track = _track(data, span)
            if handler in tracks:
                raise Mp4Error(UNSUPPORTED_MP4, f"it has several tracks of type {_name(handler)}")
            tracks[handler] = track
    if not tracks:
        raise Mp4Error(UNSUPPORTED_MP4, "it has no tracks")
    return Mp4(tracks.get(_VIDEO), tracks.get(_SOUND))


def check_slices(data: bytes, track: Track) -> None:
    """Check that each sample of an H.264 track is complete and consists only of slices.

    A sample with other contents, such as a new frame size, could make a decoder use a different
    amount of memory than the track's header suggests.

    Raises:
      Mp4Error: a sample is not.
    """
    places = zip(track.starts.tolist(), track.sizes.tolist(), strict=True)
    for index, (start, size) in enumerate(places):
        place, end = start, start + size
        while place < end:
            length = int.from_bytes(data[place : place + _NAL_LENGTH_BYTES], "big")
            place += _NAL_LENGTH_BYTES
            if not 1 <= length <= end - place:
                raise Mp4Error(TRUNCATED_MP4, f"frame {index} is cut off")
            kind = data[place] & 0x1F
            if kind not in _SLICES:
                raise Mp4Error(UNSUPPORTED_MP4, f"frame {index} has data of kind {kind}")
            place += length


_Span = tuple[int, int]


def _boxes(data: bytes, start: int, end: int) -> list[tuple[bytes, _Span]]:
    """Return the kind and contents of each box in a part of the file."""
    found: list[tuple[bytes, _Span]] = []
    while start < end:
        if end - start < 8 or len(found) >= _MOST_BOXES:
            raise Mp4Error(TRUNCATED_MP4, f"there is no box at byte {start}")
        size, kind = struct.unpack_from(">I4s", data, start)
        if not 8 <= size <= end - start:
            raise Mp4Error(
                TRUNCATED_MP4,
                f"a box at byte {start} states {size} bytes, but only {end - start} are left",
            )
        found.append((kind, (start + 8, start + size)))
        start += size
    return found


def _child(data: bytes, span: _Span, *path: bytes) -> _Span:
    """Return the contents of the box at a path inside a span."""
    for kind in path:
        inside = [own for name, own in _boxes(data, *span) if name == kind]
        if len(inside) != 1:
            raise Mp4Error(
                TRUNCATED_MP4, f"it has {len(inside)} boxes of type {_name(kind)} instead of one"
            )
        span = inside[0]
    return span


def _optional(data: bytes, span: _Span, *path: bytes) -> _Span | None:
    """Return the contents of the box at a path in a span, or None if its first part is missing."""
    if all(name != path[0] for name, _ in _boxes(data, *span)):
        return None
    return _child(data, span, *path)


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _numbers(data: bytes, span: _Span, form: str, at: int = 0) -> tuple[Any, ...]:
    """Unpack numbers at an offset in a box."""
    if span[0] + at + struct.calcsize(form) > span[1]:
        raise Mp4Error(TRUNCATED_MP4, f"a box ends too early, at byte {span[1]}")
    return struct.unpack_from(form, data, span[0] + at)


def _rows(data: bytes, span: _Span, columns: int, at: int = 4) -> np.ndarray:
    """Return a table of 32-bit numbers, int64 [rows, columns], which begins with its row count."""
    (count,) = _numbers(data, span, ">I", at)
    first = span[0] + at + 4
    if count * columns * 4 > span[1] - first:
        raise Mp4Error(TRUNCATED_MP4, f"a table states {count} rows, more than its bytes can hold")
    table = np.frombuffer(data, ">u4", count * columns, first)
    return table.astype(np.int64).reshape(count, columns)


def _track(data: bytes, span: _Span) -> tuple[bytes, Track]:
    """Return a track and its kind."""
    media = _child(data, span, b"mdia")
    _, handler = _numbers(data, _child(data, media, b"hdlr"), ">I4s", 4)
    if handler not in (_VIDEO, _SOUND):
        raise Mp4Error(UNSUPPORTED_MP4, f"it has a track of type {_name(handler)}")
    header = _child(data, media, b"mdhd")
    (version,) = _numbers(data, header, ">B")
    (timescale,) = _numbers(data, header, ">I", 12 if version == 0 else 20)
    if not timescale:
        raise Mp4Error(UNSUPPORTED_MP4, "a track's timescale is 0")
    table = _child(data, media, b"minf", b"stbl")
    starts, sizes = _places(data, table)
    times, end = _times(data, table, len(sizes))
    shift = _run_up(data, span)
    codec, setup, width, height = _coding(data, _child(data, table, b"stsd"), handler)
    track = Track(
        codec=codec,
        setup=setup,
        timescale=timescale,
        starts=starts,
        sizes=sizes,
        times=times - shift,
        end=end - shift,
        keys=_keys(data, table, len(sizes)),
        width=width,
        height=height,
    )
    return handler, track


def _places(data: bytes, table: _Span) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions and sizes of samples in bytes."""
    sizes_box = _child(data, table, b"stsz")
    size, count = _numbers(data, sizes_box, ">II", 4)
    if not 1 <= count <= _MOST_SAMPLES:
        raise Mp4Error(UNSUPPORTED_MP4, f"a track has {count} samples")
    sizes = np.full(count, size, np.int64) if size else _rows(data, sizes_box, 1, 8)[:, 0]
    chunks = _rows(data, _child(data, table, b"stco"), 1)[:, 0]
    runs = _rows(data, _child(data, table, b"stsc"), 3)
    # Each row of `runs`: the first of some chunks with equal numbers of samples, and that number.
    firsts = np.append(runs[:, 0] - 1, len(chunks))
    is_sound = (
        len(sizes) == count
        and sizes.min() >= 1
        and firsts[0] == 0
        and (np.diff(firsts) >= 1).all()
        and (runs[:, 1] >= 1).all()
    )
    in_chunk = np.repeat(runs[:, 1], np.diff(firsts)) if is_sound else chunks[:0]
    if in_chunk.sum() != count:
        raise Mp4Error(TRUNCATED_MP4, "its table of samples contradicts itself")
    # The samples of a chunk follow each other.
    before = np.cumsum(sizes) - sizes
    starts = before + np.repeat(chunks - before[np.cumsum(in_chunk) - in_chunk], in_chunk)
    if (starts + sizes > len(data)).any():
        raise Mp4Error(TRUNCATED_MP4, f"a sample lies past its end, after {len(data)} bytes")
    return starts, sizes


def _times(data: bytes, table: _Span, count: int) -> tuple[np.ndarray, int]:
    """Return the times when samples are shown or heard, and the time when the last one ends."""
    runs = _rows(data, _child(data, table, b"stts"), 2)
    if runs[:, 0].sum() != count:
        raise Mp4Error(TRUNCATED_MP4, "the numbers of times and samples differ")
    if _optional(data, table, b"ctts") is not None:
        raise Mp4Error(UNSUPPORTED_MP4, "its frames are not stored in display order")
    lengths = np.repeat(runs[:, 1], runs[:, 0])
    ends = np.cumsum(lengths)
    return ends - lengths, int(ends[-1])


def _run_up(data: bytes, span: _Span) -> int:
    """Return the time on the track's clock at which the clip begins, from the edit list."""
    edits = _optional(data, span, b"edts", b"elst")
    if edits is None:
        return 0
    (version,) = _numbers(data, edits, ">B")
    (count,) = _numbers(data, edits, ">I", 4)
    (begin,) = _numbers(data, edits, ">i" if version == 0 else ">q", 12 if version == 0 else 16)
    if count != 1 or begin < 0:
        raise Mp4Error(UNSUPPORTED_MP4, "a track's edit list is not one nonempty edit")
    return begin


def _keys(data: bytes, table: _Span, count: int) -> np.ndarray:
    """Return the indices of samples at which decoding can start."""
    box = _optional(data, table, b"stss")
    if box is None:
        return np.arange(count)
    keys = _rows(data, box, 1)[:, 0] - 1
    if not len(keys) or keys[0] != 0 or (np.diff(keys) < 1).any() or keys[-1] >= count:
        raise Mp4Error(TRUNCATED_MP4, "its table of key frames contradicts itself")
    return keys


def _coding(data: bytes, box: _Span, handler: bytes) -> tuple[str, bytes, int, int]:
    """Return a track's codec, its setup data, and the width and height of its frames."""
    entries = _boxes(data, box[0] + 8, box[1])
    if len(entries) != 1:
        raise Mp4Error(
            UNSUPPORTED_MP4, f"a track has {len(entries)} sample descriptions instead of one"
        )
    (kind, span) = entries[0]
    if (handler, kind) == (_VIDEO, b"avc1"):
        width, height = _numbers(data, span, ">HH", 24)
        begin, end = _child(data, (span[0] + 78, span[1]), b"avcC")
        setup = data[begin:end]
        if len(setup) < 7 or setup[4] & 3 != _NAL_LENGTH_BYTES - 1:
            raise Mp4Error(UNSUPPORTED_MP4, "its NAL units do not have 4-byte lengths")
        if not (width and height):
            raise Mp4Error(UNSUPPORTED_MP4, f"its size is {width} x {height}")
        return H264, setup, width, height
    if (handler, kind) == (_SOUND, b"Opus"):
        inside = _child(data, (span[0] + 28, span[1]), b"dOps")
        _, channels, skip, rate, gain, family = _numbers(data, inside, ">BBHIhB")
        if channels != 1 or family:
            raise Mp4Error(UNSUPPORTED_MP4, f"its audio has {channels} channels instead of one")
        head = struct.pack("<8sBBHIhB", b"OpusHead", 1, channels, skip, rate, gain, family)
        return OPUS, head, 0, 0
    if (handler, kind) == (_SOUND, b"mp4a"):
        inside = _child(data, (span[0] + 28, span[1]), b"esds")
        return AAC, _aac_setup(data, (inside[0] + 4, inside[1])), 0, 0
    raise Mp4Error(UNSUPPORTED_MP4, f"a track's codec is {_name(kind)}")


def _aac_setup(data: bytes, span: _Span) -> bytes:
    """Return AAC's setup data from inside an elementary stream descriptor."""
    # Tags, and bytes before the next descriptor; see ISO/IEC 14496-1, section 7.2.6.
    for tag, own in ((3, 3), (4, 13), (5, 0)):
        found, span = next(_descriptors(data, span), (None, span))
        if found != tag:
            raise Mp4Error(UNSUPPORTED_MP4, "its audio has no setup data")
        span = (span[0] + own, span[1])
    setup = data[span[0] : span[1]]
    if not 2 <= len(setup) <= 64:
        raise Mp4Error(UNSUPPORTED_MP4, f"its audio has {len(setup)} bytes of setup data")
    return setup


def _descriptors(data: bytes, span: _Span) -> Iterator[tuple[int, _Span]]:
    """Yield the tag and contents of descriptors, whose sizes use 7 bits per byte."""
    place, end = span
    while place + 2 <= end:
        tag, size, place = data[place], 0, place + 1
        while place < end:
            size, more = size << 7 | data[place] & 0x7F, data[place] & 0x80
            place += 1
            if not more:
                break
        if size > end - place:
            raise Mp4Error(TRUNCATED_MP4, "a descriptor of its audio is cut off")
        yield tag, (place, place + size)
        place += size
