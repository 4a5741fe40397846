# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Merges an index's segments, and builds FAISS files for large segments."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.search import approximate, store
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.manifest import Video
from mmv_tf.search.parts import Moved, merge_parts
from mmv_tf.search.store import HEARD, SPANS, Segment, Writer
from mmv_tf.util import files as files_lib

# Ours: exact search takes a tenth of a second at a million windows.
FAISS_ABOVE = 300_000
_MOST_SEGMENTS = 8
_DEAD_SHARE = 0.2
# Maximum fraction of rows outside the FAISS files before these are rebuilt.
_OUTSIDE_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Merged:
    """The report of a merge.

    Attributes:
      faiss: matrix -> result of `approximate.build`.
      notes: notes for the user.
    """

    faiss: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def merge_where_needed(writer: Writer, faiss_above: int | None) -> Merged:
    """Merge segments if there are many segments or many dead rows, and build FAISS files.

    Args:
      writer: the index's writer, which is committed.
      faiss_above: minimum number of windows to use FAISS; None for never.
    """
    manifest = writer.manifest
    if not manifest.videos:
        return Merged()
    index = store.open_index(writer.directory)
    rows, stored = manifest.rows, sum(segment.rows for segment in index.segments.values())
    outside = sum(
        segment.rows
        for name, segment in index.segments.items()
        if not any(file.endswith(".faiss") for file in manifest.segments[name])
    )
    notes: list[str] = []
    large = _needs_faiss(rows, faiss_above, notes)
    needed = (
        len(index.segments) > _MOST_SEGMENTS
        or stored - rows > _DEAD_SHARE * stored
        or (large and outside > _OUTSIDE_SHARE * stored)
    )
    if not needed:
        return Merged(notes=notes)
    return write_merged(writer, index.segments, manifest.videos, faiss_above)


def write_merged(
    writer: Writer,
    segments: Mapping[str, Segment],
    videos: Sequence[Video],
    faiss_above: int | None,
) -> Merged:
    """Write videos from any segments as one segment, and make them the index.

    Args:
      writer: the index's writer, which is committed.
      segments: segments that contain the videos, by name; may belong to other indexes.
      videos: all videos in the index.
      faiss_above: minimum number of windows to use FAISS; None for never.
    """
    done = Merged()
    if not videos:
        writer.commit(videos=(), segments={})
        return done
    columns, matrices = writer.manifest.columns, writer.manifest.matrices
    name, folder = writer.new_segment()
    with files_lib.replacing(folder) as temporary:
        moved = merged(segments, videos, columns, temporary)
        if _needs_faiss(sum(video.count for video in videos), faiss_above, done.notes):
            done.faiss.update(_build_faiss(Segment(temporary, columns), matrices))
    writer.commit(
        videos=tuple(dataclasses.replace(video, segment=name) for video in moved),
        segments={name: store.sums(folder)},
    )
    return done


def _needs_faiss(rows: int, faiss_above: int | None, notes: list[str]) -> bool:
    """Return whether this many rows get FAISS files; without FAISS, add a note instead."""
    if faiss_above is None or rows < faiss_above:
        return False
    if not approximate.available():
        notes.append(
            f'FAISS would speed up the search of {rows} windows: pip install "mmv_tf[search]".'
        )
        return False
    return True


def merged(
    segments: Mapping[str, Segment],
    videos: Sequence[Video],
    columns: Mapping[str, int],
    folder: pathlib.Path,
) -> tuple[Video, ...]:
    """Write the rows of videos from any segments as one segment in a new folder.

    Args:
      segments: segments that contain the videos, by name.
      videos: the videos, in the order to write them.
      columns: number of columns in each matrix, by name.
      folder: folder to create.

    Returns:
      The videos with their new rows; their `segment` is not yet set.
    """
    folder.mkdir(parents=True)
    firsts = np.cumsum([0, *(video.count for video in videos)]).tolist()
    moves = [
        Moved(segments[video.segment], video.first, video.count, first)
        for video, first in zip(videos, firsts, strict=False)
    ]
    shapes: dict[str, tuple[int, ...]] = {SPANS: (2,), HEARD: ()}
    shapes |= {name: (dim,) for name, dim in columns.items()}
    for name, shape in shapes.items():
        pieces = (move.segment.array(name)[move.first : move.first + move.count] for move in moves)
        store.write_array(folder, name, (firsts[-1], *shape), pieces)
    merge_parts(moves, folder)
    return tuple(
        dataclasses.replace(video, first=move.to) for video, move in zip(videos, moves, strict=True)
    )


def _build_faiss(segment: Segment, matrices: Collection[str]) -> dict[str, dict[str, Any]]:
    """Build a segment's FAISS files, and return the results of `approximate.build`."""
    heard = np.asarray(segment.array(HEARD))
    found = {}
    for name in matrices:
        modality, _, space = name.partition(".")
        other = f"{VISION if modality == SOUND else SOUND}.{space}"
        queries = None
        if other in matrices and heard.any():
            # Queries come from another modality, and are not rows of the matrix.
            rows = np.flatnonzero(heard)[:: max(1, int(heard.sum()) // 1000)]
            queries = segment.array(other)[rows]
        path = segment.directory / f"{name}.faiss"
        found[name] = approximate.build(segment.array(name), path, queries)
    return found
