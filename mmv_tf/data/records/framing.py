# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads TFRecord files record by record, continuing after any damage.

A record consists of its length (8 bytes, little-endian), the checksum of the length (4 bytes), the
payload, and the checksum of the payload (4 bytes). A checksum is CRC-32C, rotated and offset so
that a file inside a file does not look valid by chance. TensorFlow's reader gives up on a file at
the first wrong byte; this one continues with the next good record.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c
import numpy as np

from mmv_tf.util.files import check_regular

HEADER_BYTES = 12
FOOTER_BYTES = 4

# Reasons for damage to the framing.
EMPTY = "empty shard"
LENGTH_CHECKSUM = "length checksum"
PAYLOAD_CHECKSUM = "payload checksum"
TOO_LARGE = "record too large"
TRUNCATED = "truncated"
UNREADABLE = "unreadable file"

_MASK_DELTA = 0xA282EAD8
# Ours: bytes read at a time when searching for the next record.
_SEARCH_BYTES = 1 << 20
_READ_AHEAD_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Record:
    """A complete record: the offset of its header, and its payload."""

    offset: int
    payload: bytes

    @property
    def end(self) -> int:
        """The next record's offset."""
        return self.offset + HEADER_BYTES + len(self.payload) + FOOTER_BYTES


@dataclasses.dataclass(frozen=True)
class Gap:
    """A range of bytes, [offset, end), with at least one damaged record."""

    offset: int
    end: int
    reason: str
    detail: str


def masked_crc(data: bytes) -> int:
    """Return the checksum of `data` as TFRecords store it."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def framed(payload: bytes) -> bytes:
    """Return a payload framed as a record in a file."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, _packed_crc(length), payload, _packed_crc(payload)))


def payloads(data: bytes, count: int, checksums: bool = True) -> list[bytes]:
    """Return the payloads of the first `count` records in part of a file.

    Args:
      data: bytes that begin with a record.
      count: number of records.
      checksums: whether to verify the payloads' checksums; those of the lengths are always
        verified.

    Raises:
      ValueError: there are fewer records, or one is damaged.
    """
    found, offset = [], 0
    for number in range(count):
        header = data[offset : offset + HEADER_BYTES]
        if len(header) < HEADER_BYTES or _packed_crc(header[:8]) != header[8:]:
            raise ValueError(f"record {number} of {count}: {LENGTH_CHECKSUM}")
        start = offset + HEADER_BYTES
        offset = start + int.from_bytes(header[:8], "little") + FOOTER_BYTES
        if offset > len(data):
            raise ValueError(f"record {number} of {count}: {TRUNCATED}")
        payload = data[start : offset - FOOTER_BYTES]
        if checksums and _packed_crc(payload) != data[offset - FOOTER_BYTES : offset]:
            raise ValueError(f"record {number} of {count}: {PAYLOAD_CHECKSUM}")
        found.append(payload)
    return found


def walk(path: str | os.PathLike[str], max_record_bytes: int) -> Iterator[Record | Gap]:
    """Yield the records and gaps in a TFRecord file, from its first byte to its last.

    Args:
      path: an uncompressed TFRecord file.
      max_record_bytes: larger records become gaps and are not read into memory.

    Raises:
      OSError: the file cannot be read.
    """
    path = pathlib.Path(path)
    check_regular(path)
    with open(path, "rb", buffering=_READ_AHEAD_BYTES) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            yield Gap(0, 0, EMPTY, "the file is empty")
            return
        offset = 0
        while offset < size:
            found = _read_record(file, offset, size, max_record_bytes)
            if isinstance(found, Gap):
                found = dataclasses.replace(
                    found, end=_next_header(file, found, size, max_record_bytes)
                )
                offset = found.end
            else:
                offset = found.end
            yield found


def chunk_offsets(path: str | os.PathLike[str], records: int) -> tuple[int, ...] | None:
    """Return the offset of every `records`-th record in a file, from its headers alone.

    Args:
      path: an uncompressed TFRecord file.
      records: number of records per chunk.

    Returns:
      Offsets in bytes, or None if the file cannot be read or a header is damaged.
    """
    found, offset, number = [], 0, 0
    try:
        check_regular(path)
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while offset < size:
                length = _read_length(file, offset)
                if length is None:
                    return None
                if number % records == 0:
                    found.append(offset)
                offset += HEADER_BYTES + length + FOOTER_BYTES
                number += 1
    except OSError:
        return None
    return tuple(found)


def _packed_crc(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc(data))


def _read_length(file: BinaryIO, offset: int) -> int | None:
    """Return the length in a header, or None if the header is invalid."""
    file.seek(offset)
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES or _packed_crc(header[:8]) != header[8:]:
        return None
    return int(struct.unpack_from("<Q", header)[0])


def _read_record(file: BinaryIO, offset: int, size: int, max_bytes: int) -> Record | Gap:
    """Return the record at `offset`, or a gap that ends where the record should, or immediately."""

    def gap(reason: str, detail: str, end: int = offset) -> Gap:
        return Gap(offset, end, reason, detail)

    if size - offset < HEADER_BYTES + FOOTER_BYTES:
        return gap(TRUNCATED, f"the file ends {size - offset} bytes into a record", size)
    length = _read_length(file, offset)
    if length is None:
        if offset == 0:
            file.seek(0)
            if file.read(2) == b"\x1f\x8b":
                return gap(UNREADABLE, "a gzip file; unpack it first", size)
        return gap(LENGTH_CHECKSUM, "the record's length does not match its checksum")
    end = offset + HEADER_BYTES + length + FOOTER_BYTES
    if end > size:
        return gap(
            TRUNCATED,
            f"the record has {length} bytes, but the file ends {end - size} bytes too early",
        )
    if length > max_bytes:
        return gap(
            TOO_LARGE, f"the record has {length} bytes, more than the limit of {max_bytes}", end
        )
    payload = file.read(length)
    if file.read(FOOTER_BYTES) != _packed_crc(payload):
        return gap(PAYLOAD_CHECKSUM, f"the {length} bytes do not match their checksum", end)
    return Record(offset, payload)


def _next_header(file: BinaryIO, gap: Gap, size: int, max_bytes: int) -> int:
    """Return the offset of the first valid header after a gap's start, or the size if none."""
    if gap.end > gap.offset and (gap.end == size or _read_length(file, gap.end) is not None):
        return gap.end  # The length is right; only the payload is damaged.
    start = gap.offset + 1
    while start + HEADER_BYTES + FOOTER_BYTES <= size:
        file.seek(start)
        piece = file.read(_SEARCH_BYTES + HEADER_BYTES - 1)
        place = _find_header(piece, max_bytes)
        if place is not None:
            return start + place
        start += _SEARCH_BYTES
    return size


def _find_header(piece: bytes, max_bytes: int) -> int | None:
    """Return the index of the first valid header for a record of at most `max_bytes` bytes."""
    if len(piece) < HEADER_BYTES:
        return None
    data = np.frombuffer(piece, np.uint8)
    count = len(data) - HEADER_BYTES + 1
    windows = np.lib.stride_tricks.sliding_window_view(data, HEADER_BYTES)
    # Lengths are far below 2^32, so four bytes of a header are zero, which leaves few candidates.
    high = data[4 : 4 + count] | data[5 : 5 + count] | data[6 : 6 + count] | data[7 : 7 + count]
    places = np.flatnonzero(high == 0)
    heads = windows[places]
    valid = _masked_crc_of_lengths(heads[:, :4]) == _little_endian(heads[:, 8:])
    valid &= _little_endian(heads[:, :4]) <= max_bytes
    found = places[valid]
    return int(found[0]) if len(found) else None


def _little_endian(four_bytes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(four_bytes).view("<u4")[:, 0]


@functools.cache
def _length_tables() -> tuple[int, np.ndarray]:
    """Return tables for the CRC of 8 bytes: that of zeros, and one XOR term per byte [4, 256]."""
    zero = google_crc32c.value(bytes(8))
    tables = np.zeros((4, 256), np.uint32)
    for place in range(4):
        for value in range(256):
            message = bytearray(8)
            message[place] = value
            tables[place, value] = google_crc32c.value(bytes(message)) ^ zero
    return zero, tables


def _masked_crc_of_lengths(low_bytes: np.ndarray) -> np.ndarray:
    """Return `masked_crc` of N lengths below 2^32, given by their low bytes [N, 4]."""
    zero, tables = _length_tables()
    crc = np.full(len(low_bytes), zero, np.uint32)
    for place in range(4):
        crc ^= tables[place][low_bytes[:, place]]
    return ((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA)
