# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports an index's vectors, window by window, and as a Parquet file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmv_tf.search.manifest import Video
from mmv_tf.search.store import SPANS, Index
from mmv_tf.util import files as files_lib
from mmv_tf.util.progress import Progress

# Windows per batch, and so per Parquet row group for each space. Ours: 16 MB with 256 dimensions.
BATCH = 16_384


@dataclasses.dataclass(frozen=True)
class Batch:
    """Windows in an index, ordered by name and time.

    Attributes:
      videos: each window's video, [n].
      spans: float32 [n, 2], start and end in seconds.
      vectors: "MODALITY.SPACE" -> float32 [n, D].
      has: "MODALITY.SPACE" -> bool [n], False where there is no vector: silent windows have none
        for audio.
    """

    videos: tuple[Video, ...]
    spans: np.ndarray
    vectors: dict[str, np.ndarray]
    has: dict[str, np.ndarray]


def batches(index: Index, size: int = BATCH) -> Iterator[Batch]:
    """Yield all windows in an index, in batches of at most `size`."""
    ranges: list[tuple[Video, int, int]] = []
    held = 0
    with Progress(index.manifest.rows, "export", "windows") as progress:
        for video in sorted(index.manifest.videos, key=lambda video: video.name):
            first = 0
            while first < video.count:
                count = min(video.count - first, size - held)
                ranges.append((video, video.first + first, count))
                first, held = first + count, held + count
                if held == size:
                    yield _batch(index, ranges)
                    progress.update(held)
                    ranges, held = [], 0
        if ranges:
            yield _batch(index, ranges)
            progress.update(held)


def _batch(index: Index, ranges: list[tuple[Video, int, int]]) -> Batch:
    def rows(name: str) -> np.ndarray:
        return np.concatenate(
            [
                index.segments[video.segment].array(name)[first : first + count]
                for video, first, count in ranges
            ],
            dtype=np.float32,
        )

    vectors = {name: rows(name) for name in sorted(index.manifest.matrices)}
    return Batch(
        videos=tuple(video for video, _, count in ranges for _ in range(count)),
        spans=rows(SPANS),
        vectors=vectors,
        has={name: np.asarray(value.any(axis=1)) for name, value in vectors.items()},
    )


def file_names(name: str) -> tuple[str, bytes | None]:
    """Return a name as text; also its bytes if they are not UTF-8 and the text is approximate."""
    data = os.fsencode(name)
    text = data.decode(errors="replace")
    return text, None if text.encode() == data else data


def export_parquet(index: Index, output: str | os.PathLike[str]) -> int:
    """Write an index's vectors as a Parquet file, one row per window and space.

    Columns: `file` (name in the index), `file_bytes` (null if the name is UTF-8, as nearly all
    are), `hash` (SHA-256 of the file), `start` and `end` in seconds, `space` ("video.vat", ...) and
    `vector` (float32, unit length). Windows without a vector in a space, such as silent ones, have
    no row for it. The schema's metadata holds the model, its fingerprint and the folders, as JSON
    under "mmv_tf". Memory does not grow with the index. The file appears when it is complete.

    Args:
      index: the index.
      output: path to the file, which is replaced if it exists.

    Returns:
      The number of rows.

    Raises:
      ValueError: pyarrow is not installed.
      OSError: the disk is full or not writable.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ValueError(f'Parquet needs {error.name}: pip install "mmv_tf[parquet]".') from error
    manifest = index.manifest
    about = {
        "model": manifest.model,
        "fingerprint": manifest.fingerprint,
        "folders": {label: file_names(root)[0] for label, root in manifest.roots.items()},
    }
    schema = pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("file_bytes", pa.binary()),
            pa.field("hash", pa.string()),
            pa.field("start", pa.float32(), nullable=False),
            pa.field("end", pa.float32(), nullable=False),
            pa.field("space", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32()), nullable=False),
        ],
        metadata={"mmv_tf": json.dumps(about)},
    )
    rows = 0
    with (
        files_lib.replacing(output) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for batch in batches(index):
            for space in batch.vectors:
                table = pa.Table.from_pydict(_columns(batch, space), schema=schema)
                if table.num_rows:
                    writer.write_table(table)
                    rows += table.num_rows
    return rows


def _columns(batch: Batch, space: str) -> dict[str, Any]:
    import pyarrow as pa

    rows = np.flatnonzero(batch.has[space])
    vectors = batch.vectors[space][rows]
    names = [file_names(batch.videos[row].name) for row in rows]
    ends = np.arange(len(rows) + 1, dtype=np.int32) * vectors.shape[1]
    return {
        "file": [name for name, _ in names],
        "file_bytes": [data for _, data in names],
        "hash": [batch.videos[row].sha256 for row in rows],
        "start": batch.spans[rows, 0],
        "end": batch.spans[rows, 1],
        "space": [space] * len(rows),
        "vector": pa.ListArray.from_arrays(ends, pa.array(vectors.ravel())),
    }
