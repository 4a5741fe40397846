# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Datasets of good records, in order or shuffled, dealt out to workers.

Each element is (shard's name, the record's place among the shard's good ones, its bytes); endless
ones add the epoch. Orders follow from (seed, epoch) alone.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from mmv_tf.data.records import Records
from mmv_tf.data.shards import ShardEntry

# Records are read in large pieces; ours, far above a record and far below memory.
_READ_BUFFER_BYTES = 4 << 20
# Shards whose records are mixed; ours.
_FILES_AT_ONCE = 8
# Second half of the random keys, so that order and augmentation draw apart.
_ORDER_KEY = 1


def in_order(records: Records) -> tf.data.Dataset:
    """The split's records once, shard by shard."""
    shards = records.filled_shards()
    indices = tf.data.Dataset.range(len(shards), output_type=tf.int32)
    return indices.flat_map(_shard_reader(records, shards))


def epochs(
    records: Records, seed: int, start: int = 0, worker: int = 0, workers: int = 1
) -> tf.data.Dataset:
    """Endless shuffled records of one worker, from its record number `start` on.

    Raises:
      ValueError: the worker has none.
    """
    shards, by_record = _dealt(records, worker, workers)
    if by_record:
        count = len(range(worker, records.num_good(), workers))
    else:
        count = sum(records.count(shard) for shard in shards)
    if count == 0:
        whose = f" for worker {worker} of {workers}" if workers > 1 else ""
        raise _no_examples(records, whose)
    first_epoch = start // count
    read = _shard_reader(records, shards)

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.random.fold_in(tf.constant([seed, _ORDER_KEY], tf.int32), epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), seed=key)
        mixed = tf.data.Dataset.from_tensor_slices(order).interleave(
            read, cycle_length=_FILES_AT_ONCE
        )
        if by_record:
            mixed = mixed.shard(workers, worker)
        mixed = _shuffled(mixed, records.config.shuffle_buffer, key)
        return mixed.map(lambda *record: (*record, epoch))

    numbers = tf.data.Dataset.range(first_epoch, tf.int64.max)
    return numbers.flat_map(epoch_records).skip(start - first_epoch * count)


def visits(records: Records, seed: int) -> tf.data.Dataset:
    """As `epochs`, in a form that the tf.data service can deal out.

    The service's workers take visits to shards from one endless range, so that together they see
    every record once an epoch, in an order that depends on who is faster.

    Raises:
      ValueError: there are no records.
    """
    shards = records.filled_shards()
    if not shards:
        raise _no_examples(records)
    read = _shard_reader(records, shards)
    order_key = tf.constant([seed, _ORDER_KEY], tf.int32)

    def visit(number: tf.Tensor) -> tf.data.Dataset:
        epoch, place = number // len(shards), number % len(shards)
        key = tf.random.fold_in(order_key, epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), seed=key)
        return read(order[place]).map(lambda *record: (*record, epoch))

    # No more at once than there are shards, or one record would come several times in a row.
    mixed = tf.data.Dataset.range(tf.int64.max).interleave(
        visit, cycle_length=min(_FILES_AT_ONCE, len(shards))
    )
    return _shuffled(mixed, records.config.shuffle_buffer, order_key)


def _no_examples(records: Records, whose: str = "") -> ValueError:
    return ValueError(
        f"Split {records.config.split!r} of {records.directory} has no examples{whose}."
    )


def _dealt(records: Records, worker: int, workers: int) -> tuple[list[ShardEntry], bool]:
    """A worker's shards, and whether it must pick out its own records in them."""
    if not 0 <= worker < workers:
        raise ValueError(f"This is worker {worker} of {workers}; expected 0 to {workers - 1}.")
    shards = records.filled_shards()
    if len(shards) < workers:
        return shards, workers > 1
    # The largest first, each to the worker with the least.
    dealt: list[list[ShardEntry]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for shard in sorted(shards, key=records.count, reverse=True) if workers > 1 else shards:
        least = loads.index(min(loads))
        dealt[least].append(shard)
        loads[least] += records.count(shard)
    return dealt[worker], False


def _shard_reader(
    records: Records, shards: list[ShardEntry]
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Index of a shard -> its good records."""
    names = tf.constant([shard.name for shard in shards], tf.string)
    files = tf.constant([str(shard.path) for shard in shards], tf.string)
    segments = [records.segments(shard) for shard in shards]
    table = tf.ragged.constant(segments, tf.int64, ragged_rank=1, inner_shape=(2,))

    def segment(file: tf.Tensor, bounds: tf.Tensor) -> tf.data.Dataset:
        # `TFRecordDataset` can't start inside a file; the operation below it can.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[file],
            compression_type="",
            buffer_size=_READ_BUFFER_BYTES,
            byte_offsets=bounds[:1],
        )
        dataset = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
        if records.inspected:
            dataset = dataset.take(bounds[1])
        # A shard that holds fewer or more than is known of it is an error and no silent loss.
        return dataset.apply(tf.data.experimental.assert_cardinality(bounds[1]))

    def read(index: tf.Tensor) -> tf.data.Dataset:
        bounds = tf.data.Dataset.from_tensor_slices(table[index])
        dataset = bounds.flat_map(lambda pair: segment(files[index], pair)).enumerate()
        return dataset.map(lambda number, record: (names[index], number, record))

    return read


def _shuffled(records: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """`Dataset.shuffle` by a key of the graph, not by TensorFlow's global seed."""
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
