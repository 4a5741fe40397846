# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Block files: the records of one decoding unit, with checksums, until shards are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import google_crc32c

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.preparation.work_folder import Opened, WorkFolder

_END = b"mmvblck2"
_FOOTER_BYTES = 24
_MAX_INDEX_BYTES = 64 << 20


class DamagedBlockError(MediaError):
    """Raised for a damaged block file."""


def write_block(
    folder: WorkFolder, name: str, records: Iterable[bytes], summary: dict[str, Any]
) -> dict[str, Any]:
    """Write a block file; iterating over `records` may still fill in `summary`.

    Returns:
      The block's index: the summary, the "offsets" where records begin and end, and their checksums
      "crc32c".
    """
    with folder.writing(name) as temporary, open(temporary, "wb") as file:
        offsets, checksums = [0], []
        for record in records:
            file.write(record)
            offsets.append(offsets[-1] + len(record))
            checksums.append(google_crc32c.value(record))
        index = {**summary, "offsets": offsets, "crc32c": checksums}
        data = json.dumps(index).encode()
        file.write(data + _number(len(data)) + _number(google_crc32c.value(data)) + _END)
    return index


def read_index(folder: WorkFolder, name: str) -> dict[str, Any]:
    """Read a block's index; see `write_block`.

    Raises:
      DamagedBlockError: the index is damaged, or the file is cut off.
      OSError: the file cannot be read.
    """
    with folder.opened(name) as file:
        return _read_index(file)


def check_block(folder: WorkFolder, name: str) -> dict[str, Any]:
    """Read a block's index and verify the checksum of every record."""
    with folder.opened(name) as file:
        index = _read_index(file)
        for number, crc in enumerate(index["crc32c"]):
            start, end = index["offsets"][number : number + 2]
            _read_record(file, start, end, crc)
        return index


def read_record(folder: WorkFolder, name: str, start: int, end: int, crc: int) -> bytes:
    """Read one record from a block.

    Raises:
      DamagedBlockError: the record is damaged.
    """
    with folder.opened(name) as file:
        return _read_record(file, start, end, crc)


def _read_index(file: Opened) -> dict[str, Any]:
    size = file.size()
    footer = file.read(max(0, size - _FOOTER_BYTES), size)
    length, crc = (int.from_bytes(footer[start : start + 8], "little") for start in (0, 8))
    if len(footer) != _FOOTER_BYTES or footer[16:] != _END or length > _MAX_INDEX_BYTES:
        raise _damaged(file)
    data = file.read(max(0, size - _FOOTER_BYTES - length), size - _FOOTER_BYTES)
    if google_crc32c.value(data) != crc:
        raise _damaged(file)
    index: dict[str, Any] = json.loads(data)
    if size != index["offsets"][-1] + length + _FOOTER_BYTES:
        raise _damaged(file)
    return index


def _read_record(file: Opened, start: int, end: int, crc: int) -> bytes:
    record = file.read(start, end)
    if len(record) != end - start or google_crc32c.value(record) != crc:
        raise _damaged(file)
    return record


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _damaged(file: Opened) -> DamagedBlockError:
    return DamagedBlockError(
        f"{file.name}: is damaged; rerun the same command, which decodes it again"
    )
