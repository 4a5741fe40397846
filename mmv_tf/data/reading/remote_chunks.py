# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads chunks of shards in an object store through a cache on the local disk."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import google_crc32c
import numpy as np
import tensorflow as tf

from mmv_tf.data.integrity.damage import MESSAGE_END, UNSURE_START
from mmv_tf.data.reading.chunk_cache import ChunkCache
from mmv_tf.data.records import framing
from mmv_tf.data.records.manifests import CHUNK_RECORDS, ShardEntry

# Ours: number of chunks fetched before they are needed. At 16 MB per chunk and 50 MB/s per
# connection, this gives 50 chunks a second.
AHEAD = 16


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive records in a shard.

    Attributes:
      shard: the shard.
      start, end: range of bytes.
      count: number of records to read; anything after them is ignored.
      checksums: (start, end, CRC-32C) of parts of the range; empty if the manifest states none.
    """

    shard: ShardEntry
    start: int
    end: int
    count: int
    checksums: tuple[tuple[int, int, int], ...] = ()

    @property
    def key(self) -> str:
        """The chunk's name in a cache, which changes with the shard's content."""
        sums = [crc for _, _, crc in self.checksums]
        known = sums or self.shard.sha256 or self.shard.tag
        return f"{self.shard.path} {self.shard.bytes} {self.start}-{self.end} {known}"

    def is_good(self, content: bytes) -> bool:
        """Return whether content matches the checksums: the manifest's, or else the records'."""
        if len(content) != self.end - self.start:
            return False
        if not self.checksums:
            try:
                framing.payloads(content, self.count)
            except ValueError:
                return False
            return True
        return all(
            google_crc32c.value(content[start - self.start : end - self.start]) == crc
            for start, end, crc in self.checksums
        )


def chunks_of(shard: ShardEntry, runs: Sequence[tuple[int, int]]) -> list[Chunk]:
    """Return a shard's chunks.

    Args:
      shard: the shard; its size must be known.
      runs: (offset, number of records) of each chunk, in order.
    """
    size = shard.bytes or 0
    # The manifest's chunks by first byte: end, number of records, checksum.
    parts: dict[int, tuple[int, int, int]] = {}
    if len(shard.offsets) == len(shard.crc32c):
        left = shard.records or 0
        for pair, crc in zip(itertools.pairwise([*shard.offsets, size]), shard.crc32c, strict=True):
            parts[pair[0]] = (pair[1], min(left, CHUNK_RECORDS), crc)
            left -= CHUNK_RECORDS
    found = []
    for number, (start, count) in enumerate(runs):
        end = runs[number + 1][0] if number + 1 < len(runs) else size
        found.append(Chunk(shard, start, end, count, _checksums(parts, start, end, count)))
    return found


def _checksums(
    parts: Mapping[int, tuple[int, int, int]], start: int, end: int, count: int
) -> tuple[tuple[int, int, int], ...]:
    """Return a range's checksums; empty unless it consists of whole chunks from the manifest."""
    found, place, records = [], start, 0
    while place < end and place in parts:
        stop, own, crc = parts[place]
        found.append((place, stop, crc))
        place, records = stop, records + own
    return tuple(found) if (place, records) == (end, count) else ()


class ChunkSource:
    """Source of the chunks' bytes: a cache, or else a store.

    Args:
      cache: the cache that keeps the chunks.
      fetch: function that reads a chunk's bytes from the store.

    Attributes:
      damaged: names of shards whose bytes differ from what was written.
    """

    def __init__(self, cache: ChunkCache, fetch: Callable[[Chunk], bytes]):
        self.damaged: set[str] = set()
        self._cache = cache
        self._fetch = fetch
        self._error: OSError | None = None

    def content(self, chunk: Chunk) -> bytes:
        """Return a chunk's bytes.

        Raises:
          ValueError: the bytes differ from what was written.
          OSError: the store failed; `explained` raises this error as well.
        """
        try:
            return self._cache.get(chunk.key, lambda: self._fetched(chunk), chunk.is_good)
        except OSError as error:
            if not sys.is_finalizing():
                self._error = error
            raise

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raise a store's error in place of TensorFlow's error about it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self._error is None:
                raise
            found, self._error = self._error, None
            raise found from error

    def _fetched(self, chunk: Chunk) -> bytes:
        # Try once more: data damaged in transit is intact at the second attempt.
        for _ in range(2):
            found = self._fetch(chunk)
            if chunk.is_good(found):
                return found
        self.damaged.add(chunk.shard.name)
        raise ValueError(
            f"{UNSURE_START}{chunk.shard.name}: bytes {chunk.start} to {chunk.end} differ from "
            "what was written; prepare the data again with --overwrite, or restore the file."
            f"{MESSAGE_END}"
        )


class RemoteChunks:
    """Datasets of the chunks' records.

    Args:
      chunks: the chunks; the datasets refer to them by index.
      source: source of their bytes; its errors end a dataset's iterator.
    """

    def __init__(self, chunks: Sequence[Chunk], source: ChunkSource):
        self._chunks = chunks
        self._source = source
        self._ahead: collections.OrderedDict[int, concurrent.futures.Future[bytes]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def payloads(self, index: tf.Tensor) -> tf.data.Dataset:
        """Return a chunk's records as strings."""
        # Stateless: the same chunk gives the same records, and iterators can be saved.
        records = tf.numpy_function(self._records, [index], tf.string, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(records, [None]))

    def ahead(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Return the same rows while fetching the chunks of the next ones.

        Args:
          rows: int64 [N] that begin with a chunk's index; or int64 scalars, the indices.
        """

        def begun(row: tf.Tensor) -> tf.Tensor:
            # The row passes through the function; otherwise the graph would be simplified without
            # it.
            same = tf.numpy_function(self._begin, [row], tf.int64, stateful=False)
            return tf.ensure_shape(same, row.shape)

        return rows.map(begun).prefetch(AHEAD)

    def _records(self, index: np.ndarray) -> np.ndarray:
        with self._lock:
            begun = self._ahead.pop(int(index), None)
        chunk = self._chunks[int(index)]
        content = self._source.content(chunk) if begun is None else begun.result()
        found = framing.payloads(content, chunk.count, checksums=False)
        records = np.empty(len(found), object)
        records[:] = found
        return records

    def _begin(self, row: np.ndarray) -> np.ndarray:
        """Start fetching a chunk on its own thread, unless this has already been done."""
        index = int(row.reshape(-1)[0])
        future: concurrent.futures.Future[bytes] = concurrent.futures.Future()
        with self._lock:
            if index in self._ahead:
                return row
            self._ahead[index] = future
            while len(self._ahead) > 2 * AHEAD:  # Left by iterators that ended early.
                self._ahead.popitem(last=False)

        def run() -> None:
            try:
                future.set_result(self._source.content(self._chunks[index]))
            except BaseException as error:
                future.set_exception(error)

        # Not a thread pool: Python would wait for its threads at exit.
        threading.Thread(target=run, name="chunk", daemon=True).start()
        return row
