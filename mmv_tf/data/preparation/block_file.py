# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is decoded and not yet in a shard: a file with the records of a few clips.

The records one after the other, then their index as JSON, the index's length in 8 bytes, and 8
bytes that say that the file is whole. So it can be written as a stream, and one that is cut off is
known as such.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

from mmv_tf import atomic

_END = b"mmvblock"
_MAX_INDEX_BYTES = 64 << 20


def write_block(path: pathlib.Path, records: Iterable[bytes], summary: dict[str, Any]) -> None:
    """Writes the records of a block; `summary` is kept with them (and may be filled meanwhile)."""
    with atomic.replacing(path, sync=False) as temporary, open(temporary, "wb") as file:
        offsets = [0]
        for record in records:
            file.write(record)
            offsets.append(offsets[-1] + len(record))
        index = json.dumps({**summary, "offsets": offsets}).encode()
        file.write(index + len(index).to_bytes(8, "little") + _END)


def read_index(path: pathlib.Path) -> dict[str, Any] | None:
    """A block's summary and "offsets", where its records begin and end; None if it is not whole."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 16))
            end = file.read(16)
            length = int.from_bytes(end[:8], "little")
            if len(end) != 16 or end[8:] != _END or not 0 < length <= _MAX_INDEX_BYTES:
                return None
            if size < 16 + length:
                return None
            file.seek(size - 16 - length)
            index = json.loads(file.read(length))
            return index if size == index["offsets"][-1] + length + 16 else None
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def read_record(path: pathlib.Path, start: int, end: int) -> bytes:
    """One record of a block.

    Raises:
      ValueError: it is not there any more.
    """
    with open(path, "rb") as file:
        file.seek(start)
        record = file.read(end - start)
    if len(record) != end - start:
        raise ValueError(f"{path}: is no longer whole; run the same command again.")
    return record
