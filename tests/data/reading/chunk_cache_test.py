# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The cache of chunks, by itself; what is fetched is made up."""

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import logging
import multiprocessing
import os
import pathlib
import signal
import threading
import time

import pytest

from mmv_tf.data.reading import chunk_cache
from mmv_tf.data.reading.chunk_cache import ChunkCache


def content_of(name: str, size: int = 1000) -> bytes:
    return hashlib.shake_256(name.encode()).digest(size)


class Source:
    """What would be the store: it counts what is fetched."""

    def __init__(self, cache: ChunkCache):
        self.cache = cache
        self.fetched: list[str] = []

    def get(self, name: str, size: int = 1000) -> bytes:
        expected = content_of(name, size)

        def fetch() -> bytes:
            self.fetched.append(name)
            return expected

        found = self.cache.get(name, fetch, lambda content: content == expected)
        assert found == expected
        return found


def stored(directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted(directory.glob("*/*.chunk"))


def bytes_in(directory: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in stored(directory))


def test_a_chunk_is_fetched_once(tmp_path):
    source = Source(ChunkCache(tmp_path, 10_000))
    for name in ("a", "b", "a", "b"):
        source.get(name)
    again = Source(ChunkCache(tmp_path, 10_000))
    again.get("a")
    assert (source.fetched, again.fetched) == (["a", "b"], [])
    assert bytes_in(tmp_path) == 2000


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_a_damaged_file_is_fetched_again(tmp_path, damage):
    source = Source(ChunkCache(tmp_path, 10_000))
    source.get("a")
    (path,) = stored(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[500:]
    elif damage == "changed":
        data[500] ^= 1
    else:
        data.clear()
    path.write_bytes(data)
    source.get("a")
    source.get("a")
    assert source.fetched == ["a", "a"]
    assert path.read_bytes() == content_of("a")


def test_the_least_recently_used_give_way(tmp_path):
    source = Source(ChunkCache(tmp_path, 4000))
    for name in "abcd":
        source.get(name)
        time.sleep(0.02)  # longer than the file system's clock takes to move
    source.get("a")
    source.get("e")
    source.fetched.clear()
    for name in "ade":
        source.get(name)
    assert source.fetched == []
    source.get("b")
    assert source.fetched == ["b"]


def test_it_never_grows_beyond_its_size(tmp_path):
    source = Source(ChunkCache(tmp_path, 10_000))
    for number in range(60):
        source.get(f"{number % 23}", 300 + 97 * (number % 11))
        assert bytes_in(tmp_path) <= 10_000
    assert len(stored(tmp_path)) > 4
    source.get("larger than all", 10_001)
    assert bytes_in(tmp_path) <= 10_000


def test_a_size_of_zero_stores_nothing(tmp_path):
    source = Source(ChunkCache(tmp_path / "absent", 0))
    source.get("a")
    source.get("a")
    assert source.fetched == ["a", "a"]
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("content", [None, "", "x"])
def test_a_lost_count_is_made_anew(tmp_path, content):
    source = Source(ChunkCache(tmp_path, 3000))
    for name in "abc":
        source.get(name)
    usage = tmp_path / "usage"
    usage.unlink() if content is None else usage.write_text(content)
    source.get("d")
    assert bytes_in(tmp_path) <= 3000
    assert int(usage.read_text()) == bytes_in(tmp_path)


def test_a_failed_fetch_leaves_nothing_and_frees_the_lock(tmp_path):
    cache = ChunkCache(tmp_path, 10_000)

    def fail() -> bytes:
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        cache.get("a", fail, lambda content: True)
    assert stored(tmp_path) == []
    Source(cache).get("a")
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_costs_a_warning(tmp_path, monkeypatch, caplog, number):
    def write_bytes(path, content):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(pathlib.Path, "write_bytes", write_bytes)
    source = Source(ChunkCache(tmp_path, 10_000))
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b", "a"):
            source.get(name)
    assert source.fetched == ["a", "b", "a"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert os.strerror(number) in message
    assert "data.cache_dir" in message
    assert stored(tmp_path) == []
    assert not (tmp_path / "unfinished").exists()


def test_a_file_in_the_cache_s_place_costs_a_warning(tmp_path, caplog):
    (tmp_path / "cache").write_text("taken")
    source = Source(ChunkCache(tmp_path / "cache", 10_000))
    source.get("a")
    source.get("a")
    assert source.fetched == ["a", "a"]
    assert len(caplog.records) == 1


def test_threads_that_need_one_chunk_fetch_it_once(tmp_path):
    cache = ChunkCache(tmp_path, 10_000)
    fetched = []

    def slow() -> bytes:
        fetched.append(1)
        time.sleep(0.1)
        return content_of("a")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        get = lambda _: cache.get("a", slow, lambda content: content == content_of("a"))  # noqa: E731
        assert set(pool.map(get, range(8))) == {content_of("a")}
    assert len(fetched) == 1


def test_a_process_that_is_paused_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_cache, "_LOCK_SECONDS", 0.2)
    cache, entered, done = ChunkCache(tmp_path, 10_000), threading.Event(), threading.Event()

    def paused() -> bytes:
        entered.set()
        done.wait()
        return content_of("a")

    thread = threading.Thread(target=lambda: cache.get("a", paused, lambda content: True))
    thread.start()
    entered.wait()
    Source(cache).get("a")
    done.set()
    thread.join()
    assert len(stored(tmp_path)) == 1


def _read_many(directory: str, seed: int, rounds: int, bad) -> None:
    """A process that reads chunks through a cache much smaller than they are together."""
    cache = ChunkCache(pathlib.Path(directory), 20_000)
    for number in range(rounds):
        name = str((seed * 31 + number * 7) % 40)
        expected = content_of(name, 1000 + 50 * int(name))
        seen = []

        def is_good(found: bytes, expected: bytes = expected, seen: list = seen) -> bool:
            seen.append(found == expected)
            return seen[-1]

        found = cache.get(name, lambda expected=expected: expected, is_good)
        if found != expected or not all(seen):
            bad.value += 1


def test_processes_never_read_a_half_file(tmp_path):
    """Each file that is found is whole, also while two others are killed and start again."""
    context = multiprocessing.get_context("fork")
    bad = context.Value("i", 0)

    def start(seed: int, rounds: int):
        process = context.Process(target=_read_many, args=(str(tmp_path), seed, rounds, bad))
        process.start()
        return process

    steady = [start(seed, 400) for seed in range(2)]
    for number in range(10):
        killed = start(100 + number, 100_000)
        time.sleep(0.02 + 0.01 * number)
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
    for process in steady:
        process.join()
        assert process.exitcode == 0
    assert bad.value == 0
    assert bytes_in(tmp_path) <= 20_000
    others = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {
        path.name for path in stored(tmp_path)
    }
    assert others <= {"lock", "usage", "unfinished"}, "the last one is overwritten"
