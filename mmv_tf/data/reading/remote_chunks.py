# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chunks of shards in an object store, read through a cache on the local disk."""

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

# Ours: chunks that are fetched before they are needed. With 16 MB each at 50 MB/s a connection,
# these are 50 chunks a second.
AHEAD = 16


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive records of a shard.

    Attributes:
      shard: the shard.
      start, end: its bytes.
      count: number of records to read; what follows them is ignored.
      checksums: (start, end, CRC-32C) of the parts of these bytes; empty if the manifest has none.
    """

    shard: ShardEntry
    start: int
    end: int
    count: int
    checksums: tuple[tuple[int, int, int], ...] = ()

    @property
    def key(self) -> str:
        """Name in a cache, another one if the shard has another content."""
        sums = [crc for _, _, crc in self.checksums]
        known = sums or self.shard.sha256 or self.shard.tag
        return f"{self.shard.path} {self.shard.bytes} {self.start}-{self.end} {known}"

    def is_good(self, content: bytes) -> bool:
        """Return whether these are its bytes, by the manifest's checksums or the records'."""
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
      shard: with its size.
      runs: (offset, number of records) of each chunk, in order.
    """
    size = shard.bytes or 0
    # The manifest's chunks by their first bytes: end, number of records, checksum.
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
    """Return the checksums of bytes; none unless they are the manifest's chunks of all records."""
    found, place, records = [], start, 0
    while place < end and place in parts:
        stop, own, crc = parts[place]
        found.append((place, stop, crc))
        place, records = stop, records + own
    return tuple(found) if (place, records) == (end, count) else ()


class ChunkSource:
    """The bytes of chunks, from a cache or else from a store.

    Args:
      cache: where they are kept.
      fetch: reads the bytes of a chunk from the store.

    Attributes:
      damaged: names of shards with bytes that are not as written.
    """

    def __init__(self, cache: ChunkCache, fetch: Callable[[Chunk], bytes]):
        self.damaged: set[str] = set()
        self._cache = cache
        self._fetch = fetch
        self._error: OSError | None = None

    def content(self, chunk: Chunk) -> bytes:
        """Return the bytes of a chunk.

        Raises:
          ValueError: they are not as written.
          OSError: of the store; `explained` raises it, too.
        """
        try:
            return self._cache.get(chunk.key, lambda: self._fetched(chunk), chunk.is_good)
        except OSError as error:
            if not sys.is_finalizing():
                self._error = error
            raise

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raise an error of the store instead of TensorFlow's about it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self._error is None:
                raise
            found, self._error = self._error, None
            raise found from error

    def _fetched(self, chunk: Chunk) -> bytes:
        # Once more: what was damaged on its way is whole at the second attempt.
        for _ in range(2):
            found = self._fetch(chunk)
            if chunk.is_good(found):
                return found
        self.damaged.add(chunk.shard.name)
        raise ValueError(
            f"{UNSURE_START}{chunk.shard.name}: its bytes {chunk.start} to {chunk.end} are not as "
            f"written; prepare the data again with --overwrite, or restore the file.{MESSAGE_END}"
        )


class RemoteChunks:
    """Datasets of the records of chunks.

    Args:
      chunks: the chunks, by which the datasets number them.
      source: of their bytes; its errors end a dataset's iterator.
    """

    def __init__(self, chunks: Sequence[Chunk], source: ChunkSource):
        self._chunks = chunks
        self._source = source
        self._ahead: collections.OrderedDict[int, concurrent.futures.Future[bytes]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def payloads(self, index: tf.Tensor) -> tf.data.Dataset:
        """Return the records of a chunk, strings."""
        # Stateless: the same chunk has the same records, and iterators can be saved.
        records = tf.numpy_function(self._records, [index], tf.string, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(records, [None]))

    def ahead(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Return the same rows, while the chunks of the next ones are fetched.

        Args:
          rows: int64 [N], a chunk's index first; or int64 scalars, their indices.
        """

        def begun(row: tf.Tensor) -> tf.Tensor:
            # The row goes through the function, or the graph would be simplified to one without it.
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
        """Begin to fetch a chunk on a thread of its own, unless one does."""
        index = int(row.reshape(-1)[0])
        future: concurrent.futures.Future[bytes] = concurrent.futures.Future()
        with self._lock:
            if index in self._ahead:
                return row
            self._ahead[index] = future
            while len(self._ahead) > 2 * AHEAD:  # of iterators that ended before their data
                self._ahead.popitem(last=False)

        def run() -> None:
            try:
                future.set_result(self._source.content(self._chunks[index]))
            except BaseException as error:
                future.set_exception(error)

        # Not a pool, for whose threads Python would wait at the end.
        threading.Thread(target=run, name="chunk", daemon=True).start()
        return row
