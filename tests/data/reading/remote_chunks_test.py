# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chunks whose bytes a function gives, in the place of a store."""

from __future__ import annotations

import itertools
import threading
import time

import google_crc32c
import pytest
import tensorflow as tf

from mmv_tf.data.integrity import damage
from mmv_tf.data.integrity.damage import DamagedDataError
from mmv_tf.data.reading import remote_chunks
from mmv_tf.data.reading.chunk_cache import ChunkCache
from mmv_tf.data.reading.remote_chunks import Chunk, ChunkSource, RemoteChunks, chunks_of
from mmv_tf.data.records import shard_writer
from mmv_tf.data.records.manifests import ShardEntry, listed_shards

RECORDS = [bytes([n]) * (n + 1) for n in range(100)]


@pytest.fixture
def shard(tmp_path) -> ShardEntry:
    entry = shard_writer.write_shard(tmp_path / "train-00000-of-00001.tfrecord", RECORDS)
    return listed_shards(tmp_path, {"splits": {"train": {"shards": [entry]}}})[0]


def runs(shard: ShardEntry, step: int = 1) -> list[tuple[int, int]]:
    starts = range(0, len(RECORDS), 16 * step)
    return [
        (offset, min(16 * step, len(RECORDS) - start))
        for offset, start in zip(shard.offsets[::step], starts, strict=True)
    ]


class Store:
    """The bytes of a shard, with what may go wrong."""

    def __init__(self, shard: ShardEntry):
        self.content = bytearray(shard.path.read_bytes())
        self.fetched: list[int] = []
        self.faults: list[Exception | None] = []

    def fetch(self, chunk: Chunk) -> bytes:
        self.fetched.append(chunk.start)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return bytes(self.content[chunk.start : chunk.end])


def dataset(chunks: RemoteChunks, count: int) -> tf.data.Dataset:
    return chunks.ahead(tf.data.Dataset.range(count)).flat_map(chunks.payloads)


def open_chunks(shard, tmp_path, size=1 << 20, step=1) -> tuple[Store, RemoteChunks]:
    store = Store(shard)
    source = ChunkSource(ChunkCache(tmp_path / "cache", size), store.fetch)
    return store, RemoteChunks(chunks_of(shard, runs(shard, step)), source)


def read(part: tf.data.Dataset) -> list[bytes]:
    return [record.numpy() for record in part]


@pytest.mark.parametrize("step", [1, 3])
def test_chunks_have_the_manifest_s_checksums(shard, step):
    chunks = chunks_of(shard, runs(shard, step))
    content = shard.path.read_bytes()
    assert [chunk.start for chunk in chunks] == list(shard.offsets[::step])
    assert [a.end for a in chunks[:-1]] == [b.start for b in chunks[1:]]
    assert chunks[-1].end == len(content)
    for chunk in chunks:
        own = content[chunk.start : chunk.end]
        assert len(chunk.checksums) == min(step, -(-chunk.count // 16))
        assert chunk.is_good(own)
        for place in (0, len(own) // 2, len(own) - 1):
            changed = bytearray(own)
            changed[place] ^= 4
            assert not chunk.is_good(bytes(changed))
        assert not chunk.is_good(own[:-1])


def test_runs_between_damage_are_checked_by_their_records(shard):
    """Runs that inspection found are not the manifest's chunks."""
    first = shard.offsets[0] + len(shard_writer.framing.framed(RECORDS[0]))
    chunks = chunks_of(shard, [(first, 5), (shard.offsets[2], 16)])
    assert [chunk.checksums for chunk in chunks] == [(), ()]
    content = shard.path.read_bytes()
    own = content[chunks[0].start : chunks[0].end]
    assert chunks[0].is_good(own)
    assert not chunks[0].is_good(own[:3] + b"?" + own[4:])
    assert chunks[0].is_good(own[:-1] + b"?"), "no record that is read"


@pytest.mark.parametrize("step", [1, 3])
def test_records_are_those_of_the_shard_and_come_from_the_cache_then(shard, tmp_path, step):
    store, chunks = open_chunks(shard, tmp_path, step=step)
    count = len(runs(shard, step))
    assert read(dataset(chunks, count)) == RECORDS
    assert sorted(store.fetched) == sorted(shard.offsets[::step])
    assert read(dataset(chunks, count)) == RECORDS
    assert len(store.fetched) == count
    again, others = open_chunks(shard, tmp_path, step=step)
    assert read(dataset(others, count)) == RECORDS
    assert again.fetched == []


def test_another_content_has_another_name_in_the_cache(shard, tmp_path):
    _, chunks = open_chunks(shard, tmp_path)
    read(dataset(chunks, 2))
    other = [bytes([255 - n]) * (n + 1) for n in range(100)]
    entry = shard_writer.write_shard(shard.path, other)
    (changed,) = listed_shards(tmp_path, {"splits": {"train": {"shards": [entry]}}})
    _, chunks = open_chunks(changed, tmp_path)
    assert read(dataset(chunks, 7)) == other


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_cache_smaller_than_an_epoch_works(shard, tmp_path, size):
    _, chunks = open_chunks(shard, tmp_path, size)
    for _ in range(3):
        assert read(dataset(chunks, 7)) == RECORDS
    stored = [path.stat().st_size for path in (tmp_path / "cache").glob("*/*.chunk")]
    assert sum(stored) <= size


def test_chunks_are_fetched_ahead(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_chunks, "AHEAD", 4)
    store, chunks = open_chunks(shard, tmp_path)
    at_once, most = [], []
    lock = threading.Lock()

    def slow(chunk):
        with lock:
            at_once.append(chunk.start)
            most.append(len(at_once))
        time.sleep(0.05)
        with lock:
            at_once.remove(chunk.start)
        return store.fetch(chunk)

    chunks._source._fetch = slow
    assert read(dataset(chunks, 7)) == RECORDS
    assert max(most) >= 3
    assert len(store.fetched) == 7


def test_what_was_damaged_on_its_way_is_fetched_again(shard, tmp_path):
    store, chunks = open_chunks(shard, tmp_path)
    whole = store.fetch
    seen = set()

    def damaged_once(chunk):
        content = whole(chunk)
        if chunk.start in seen:
            return content
        seen.add(chunk.start)
        return content[:-1]

    chunks._source._fetch = damaged_once
    assert read(dataset(chunks, 7)) == RECORDS
    assert len(store.fetched) == 14
    assert not chunks._source.damaged


def test_a_damaged_shard_is_an_error_that_names_it(shard, tmp_path):
    store, chunks = open_chunks(shard, tmp_path)
    store.content[shard.offsets[2] + 20] ^= 1
    found = []

    def read_all():
        with chunks._source.explained(), damage.explained(lambda: []):
            found.extend(record.numpy() for record in dataset(chunks, 7))

    with pytest.raises(DamagedDataError) as caught:
        read_all()
    assert found == RECORDS[:32]
    assert str(caught.value).startswith(
        f"{shard.name}: bytes {shard.offsets[2]} to {shard.offsets[3]} differ from what was written"
    )
    assert chunks._source.damaged == {shard.name}


def test_an_error_of_the_store_is_raised_as_it_was(shard, tmp_path):
    store, chunks = open_chunks(shard, tmp_path)
    error = ConnectionError("s3://bucket: no answer")
    store.faults = [None, None, error]

    def read_all():
        with chunks._source.explained(), damage.explained(lambda: []):
            read(dataset(chunks, 7))

    with pytest.raises(ConnectionError) as caught:
        read_all()
    assert caught.value is error
    assert read(dataset(chunks, 7)) == RECORDS, "it may be there again"


def test_an_iterator_goes_on_where_it_was_saved(shard, tmp_path):
    _, chunks = open_chunks(shard, tmp_path)
    mixed = chunks.ahead(tf.data.Dataset.range(7)).interleave(chunks.payloads, cycle_length=3)
    whole = read(mixed)
    iterator = iter(mixed)
    for _ in range(40):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "place"))
    _, others = open_chunks(shard, tmp_path)
    again = others.ahead(tf.data.Dataset.range(7)).interleave(others.payloads, cycle_length=3)
    restored = iter(again)
    tf.train.Checkpoint(iterator=restored).restore(path)
    assert read(restored) == whole[40:]
    size = sum(file.stat().st_size for file in tmp_path.glob("place*"))
    assert size < 20_000, "the place, and not the records"


def test_iterators_that_end_early_leave_few_chunks_behind(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_chunks, "AHEAD", 2)
    _, chunks = open_chunks(shard, tmp_path)
    for start in (0, 2, 4):
        rows = tf.data.Dataset.range(start, 7)
        next(iter(chunks.ahead(rows).flat_map(chunks.payloads)))
    assert len(chunks._ahead) <= 4


def test_crc_of_a_chunk_is_that_of_its_bytes(shard):
    content = shard.path.read_bytes()
    borders = [*shard.offsets, len(content)]
    for (start, end), crc in zip(itertools.pairwise(borders), shard.crc32c, strict=True):
        assert google_crc32c.value(content[start:end]) == crc
