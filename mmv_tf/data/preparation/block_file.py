# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Block files: the records of a few clips that are decoded and not yet in a shard.

The records one after the other, then their index as JSON, and 24 bytes: the index's length, its
CRC-32C, and a mark. The index holds each record's CRC-32C. So a block is written as a stream, and
one that is cut off or damaged is known as such, as are those of versions without checksums.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any, BinaryIO

import google_crc32c

from mmv_tf import atomic
from mmv_tf.data.media_limits import MediaError

_END = b"mmvblck2"
_FOOTER_BYTES = 24
_MAX_INDEX_BYTES = 64 << 20


class DamagedBlockError(MediaError):
    """A block is not as it was written."""


def write_block(path: pathlib.Path, records: Iterable[bytes], summary: dict[str, Any]) -> None:
    """Writes the records of a block; `summary` is kept with them (and may be filled meanwhile)."""
    with atomic.replacing(path, sync=False) as temporary, open(temporary, "wb") as file:
        offsets, checksums = [0], []
        for record in records:
            file.write(record)
            offsets.append(offsets[-1] + len(record))
            checksums.append(google_crc32c.value(record))
        index = json.dumps({**summary, "offsets": offsets, "crc32c": checksums}).encode()
        file.write(index + _number(len(index)) + _number(google_crc32c.value(index)) + _END)


def read_index(path: pathlib.Path) -> dict[str, Any]:
    """A block's summary, "offsets", where its records begin and end, and their "crc32c".

    Raises:
      DamagedBlockError: the index is damaged, or the file cut off.
      OSError: the file can't be read.
    """
    with open(path, "rb") as file:
        return _read_index(file, path)


def check_block(path: pathlib.Path) -> dict[str, Any]:
    """As `read_index`, and compares every record with its checksum."""
    with open(path, "rb") as file:
        index = _read_index(file, path)
        file.seek(0)
        for number, crc in enumerate(index["crc32c"]):
            start, end = index["offsets"][number : number + 2]
            _read_record(file, path, end - start, crc)
        return index


def read_record(path: pathlib.Path, start: int, end: int, crc: int) -> bytes:
    """One record of a block.

    Raises:
      DamagedBlockError: the record is damaged.
    """
    with open(path, "rb") as file:
        file.seek(start)
        return _read_record(file, path, end - start, crc)


def _read_index(file: BinaryIO, path: pathlib.Path) -> dict[str, Any]:
    size = file.seek(0, 2)
    file.seek(max(0, size - _FOOTER_BYTES))
    footer = file.read(_FOOTER_BYTES)
    length, crc = (int.from_bytes(footer[start : start + 8], "little") for start in (0, 8))
    if len(footer) != _FOOTER_BYTES or footer[16:] != _END or length > _MAX_INDEX_BYTES:
        raise _damaged(path)
    file.seek(max(0, size - _FOOTER_BYTES - length))
    data = file.read(length)
    if google_crc32c.value(data) != crc:
        raise _damaged(path)
    index: dict[str, Any] = json.loads(data)
    if size != index["offsets"][-1] + length + _FOOTER_BYTES:
        raise _damaged(path)
    return index


def _read_record(file: BinaryIO, path: pathlib.Path, length: int, crc: int) -> bytes:
    record = file.read(length)
    if len(record) != length or google_crc32c.value(record) != crc:
        raise _damaged(path)
    return record


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _damaged(path: pathlib.Path) -> DamagedBlockError:
    return DamagedBlockError(
        f"{path}: is not as it was written; run the same command again, which decodes it again"
    )
