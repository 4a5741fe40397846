# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Datasets of good records, in order or shuffled, distributed over workers.

Each element is (shard name, index of the record among the shard's good ones, serialized record);
endless datasets add the epoch. The order depends only on (seed, epoch).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mmv_tf.data.reading.records import Records
from mmv_tf.data.reading.remote_chunks import Chunk, RemoteChunks, chunks_of

# Ours: bytes per read, far above the size of a record and far below the memory.
_READ_BUFFER_BYTES = 4 << 20
# Ours: number of chunks whose records are mixed.
_CHUNKS_AT_ONCE = 16
# Second half of the random keys, so that order and augmentation are independent.
_ORDER_KEY = 1


def in_order(records: Records) -> tf.data.Dataset:
    """Return the split's records once, shard by shard."""
    chunks = _Chunks(records, whole_shards=True)
    return chunks.ahead(tf.data.Dataset.range(len(chunks.counts))).flat_map(chunks.read)


def epochs(
    records: Records, seed: int, start: int = 0, worker: int = 0, workers: int = 1
) -> tf.data.Dataset:
    """Return one worker's endless shuffled records, starting at its record number `start`.

    Each epoch puts the chunks of all shards in a new order, and each worker reads an equal share of
    the records in that order, to within one record: two workers read the chunk at a boundary. So
    every record occurs once per epoch, whatever the number of shards and workers.

    Raises:
      ValueError: the worker has no records.
    """
    if not 0 <= worker < workers:
        raise ValueError(f"This is worker {worker} of {workers}; expected 0 to {workers - 1}.")
    chunks = _Chunks(records)
    total = sum(chunks.counts)
    low, high = (-(-total * index // workers) for index in (worker, worker + 1))
    if low == high:
        whose = f" for worker {worker} of {workers}" if workers > 1 else ""
        raise _no_examples(records, whose)
    first_epoch = start // (high - low)

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.random.fold_in(tf.constant([seed, _ORDER_KEY], tf.int32), epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(chunks.counts)), seed=key)
        counts = tf.gather(tf.constant(chunks.counts, tf.int64), order)
        ends = tf.cumsum(counts)
        begin = tf.clip_by_value(low - (ends - counts), 0, counts)
        end = tf.clip_by_value(high - (ends - counts), 0, counts)
        own = tf.boolean_mask(tf.stack([tf.cast(order, tf.int64), begin, end], 1), end > begin)
        mixed = chunks.ahead(tf.data.Dataset.from_tensor_slices(own)).interleave(
            lambda part: chunks.read(part[0]).skip(part[1]).take(part[2] - part[1]),
            cycle_length=_CHUNKS_AT_ONCE,
        )
        mixed = _shuffled(mixed, records.config.shuffle_buffer, key)
        return mixed.map(lambda *record: (*record, epoch))

    numbers = tf.data.Dataset.range(first_epoch, tf.int64.max)
    return numbers.flat_map(epoch_records).skip(start - first_epoch * (high - low))


def visits(records: Records, seed: int) -> tf.data.Dataset:
    """Return endless shuffled records in a form that the tf.data service can distribute.

    The service's workers take chunks from one endless range, so that together they read every
    record once per epoch, in an order that depends on their speed.

    Raises:
      ValueError: there are no records.
    """
    chunks = _Chunks(records)
    number_of = len(chunks.counts)
    if not number_of:
        raise _no_examples(records)
    order_key = tf.constant([seed, _ORDER_KEY], tf.int32)

    def visit(number: tf.Tensor) -> tf.data.Dataset:
        epoch, place = number // number_of, number % number_of
        key = tf.random.fold_in(order_key, epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(number_of), seed=key)
        return chunks.read(order[place]).map(lambda *record: (*record, epoch))

    # No more at once than there are chunks, or a record would repeat several times in a row.
    mixed = tf.data.Dataset.range(tf.int64.max).interleave(
        visit, cycle_length=min(_CHUNKS_AT_ONCE, number_of)
    )
    return _shuffled(mixed, records.config.shuffle_buffer, order_key)


def _no_examples(records: Records, whose: str = "") -> ValueError:
    return ValueError(
        f"Split {records.config.split!r} of {records.folder.name} has no examples{whose}."
    )


class _Chunks:
    """A split's good records, in chunks that are each read at once.

    Attributes:
      counts: number of records in each chunk.
    """

    def __init__(self, records: Records, whole_shards: bool = False):
        self.counts: list[int] = []
        self._shards = records.filled_shards()
        rows: list[tuple[int, int, int, int]] = []
        remote: list[Chunk] = []
        is_remote = records.folder.is_remote
        for index, shard in enumerate(self._shards):
            number = 0
            whole = whole_shards and not is_remote
            runs = (records.segments if whole else records.chunks)(shard)
            remote += chunks_of(shard, runs) if is_remote else []
            for offset, count in runs:
                # A shard that was not inspected is read to its end, to check that it ends there.
                to_the_end = not records.inspected and number + count == records.count(shard)
                rows.append((index, offset, -1 if to_the_end else count, number))
                self.counts.append(count)
                number += count
        self._rows = tf.constant(np.array(rows, np.int64).reshape(-1, 4))
        self._names = tf.constant([shard.name for shard in self._shards], tf.string)
        self._files = tf.constant([str(shard.path) for shard in self._shards], tf.string)
        self._remote = RemoteChunks(remote, records.source) if is_remote else None

    def read(self, index: tf.Tensor) -> tf.data.Dataset:
        """Return a chunk's records: (shard name, index among its good ones, serialized record)."""
        shard, first = self._rows[index, 0], self._rows[index, 3]
        # In a separate `flat_map`: TensorFlow can't copy a dataset that starts inside a file.
        found = tf.data.Dataset.from_tensors(index).flat_map(self._payloads).enumerate()
        return found.map(lambda number, record: (self._names[shard], first + number, record))

    def ahead(self, rows: tf.data.Dataset) -> tf.data.Dataset:
        """Return rows that begin with a chunk's index; chunks in a store are prefetched."""
        return rows if self._remote is None else self._remote.ahead(rows)

    def _payloads(self, index: tf.Tensor) -> tf.data.Dataset:
        if self._remote is not None:
            return self._remote.payloads(index)
        row = self._rows[index]
        # `TFRecordDataset` can't start inside a file; the operation below it can.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[self._files[row[0]]],
            compression_type="",
            buffer_size=_READ_BUFFER_BYTES,
            byte_offsets=row[1:2],
        )
        dataset = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
        # A shard with fewer or more records than expected is an error, not a silent loss.
        count = tf.constant(self.counts, tf.int64)[index]
        return dataset.take(row[2]).apply(tf.data.experimental.assert_cardinality(count))


def _shuffled(records: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """Shuffle like `Dataset.shuffle`, but with a key tensor instead of TensorFlow's global seed."""
    spec = records.element_spec
    flat = tf.nest.flatten(spec)
    seeds = tf.cast(tf.random.stateless_uniform([2], key, 1, 2**31 - 1, tf.int32), tf.int64)
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=buffer,
        seed=seeds[0],
        seed2=seeds[1],
        output_types=[part.dtype for part in flat],
        output_shapes=[part.shape for part in flat],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, spec)
