# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The mirror of a store: fetched once, uploaded when changed, shared between processes."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from mmv_tf.util.storage import mirror
from mmv_tf.util.storage.errors import ChangedError, MissingError, StorageError
from mmv_tf.util.storage.store import Entry, open_store
from mmv_tf.util.storage.urls import mirror_path, url_of


def _transfers(proxy):
    return [r for r in proxy.requests if r.method == "PUT" or (r.method == "GET" and not r.listing)]


def test_fetch_only_what_changed(either_store):
    store, url = open_store(either_store.url), either_store.url
    store.write("a/x", b"one")
    with either_store.faulty(lambda request: None) as proxy:
        path = mirror.fetch(f"{url}/a/x")
        assert path.read_bytes() == b"one" and url_of(path) == f"{url}/a/x"
        before = len(_transfers(proxy))
        assert mirror.fetch(path) == path  # by its path, and nothing is transferred
        assert [r for r in _transfers(proxy)[before:] if "alt=media" in r.path] == []
    store.write("a/x", b"two")
    assert mirror.fetch(path).read_bytes() == b"two"
    path.write_bytes(b"changed here")
    assert mirror.fetch(path).read_bytes() == b"two"
    store.remove(["a/x"])
    with pytest.raises(MissingError):
        mirror.fetch(path)
    assert mirror.entry(path) is None


def test_local_paths_stay(tmp_path):
    (tmp_path / "x").write_bytes(b"123")
    assert mirror.fetch(tmp_path / "x") == tmp_path / "x"
    assert mirror.fetch(f"file://{tmp_path}/x") == tmp_path / "x"
    assert mirror.fetch_folder(tmp_path) == tmp_path
    assert mirror.push(tmp_path / "x") is None
    mirror.push_folder(tmp_path)
    mirror.forget(tmp_path / "x")
    assert mirror.entry(tmp_path / "x").size == 3
    assert mirror.entry(tmp_path / "none") is None


def test_folders_follow_the_store_and_keep_what_it_never_had(either_store):
    store = open_store(f"{either_store.url}/run")
    for name in ("a/x", "a/y", "b"):
        store.write(name, name.encode())
    folder = mirror.fetch_folder(str(store.root), only=lambda name: name != "b")
    assert sorted(os.listdir(folder)) == ["a"]
    (folder / "a" / "new").write_bytes(b"not uploaded yet")
    store.remove(["a/x"])
    mirror.fetch_folder(folder)
    assert sorted(os.listdir(folder / "a")) == ["new", "y"]
    mirror.push_folder(folder)
    assert list(store.list()) == ["a/new", "a/y", "b"]
    with pytest.raises(MissingError):
        mirror.fetch_folder(f"{either_store.url}/none", required=True)


def test_push_what_changed_with_the_manifest_last_and_without_what_is_gone(s3_store):
    store = open_store(f"{s3_store.url}/data")
    folder = mirror.fetch_folder(str(store.root))
    for name in ("manifest.json", "z", "sub/a"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / ".z.partial-1").write_bytes(b"unfinished")
    with s3_store.faulty(lambda request: None) as proxy:
        mirror.push_folder(folder)
        puts = [r.path.split("/data/")[1] for r in proxy.requests if r.method == "PUT"]
    assert puts[-1] == "manifest.json" and sorted(puts) == ["manifest.json", "sub/a", "z"]
    store.write("of another machine", b"stays")
    (folder / "z").unlink()
    (folder / "manifest.json").write_bytes(b"2")
    with s3_store.faulty(lambda request: None) as proxy:
        mirror.push_folder(folder)
        changes = [(r.method, r.path.split("/data/")[1]) for r in proxy.requests
                   if r.method in ("PUT", "DELETE")]  # fmt: skip
    assert changes == [("PUT", "manifest.json"), ("DELETE", "z")]
    assert list(store.list()) == ["manifest.json", "of another machine", "sub/a"]


def test_a_push_is_repeated_when_another_wrote_the_object(s3_store):
    store = open_store(s3_store.url)
    path = mirror_path(f"{s3_store.url}/x")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert mirror.push(path) == mirror.push(path) == store.stat("x")
    store.write("x", b"other")
    mirror.push(path)
    assert store.read("x") == b"mine"


def test_a_listing_that_lies_about_an_object_does_not_matter(s3_store):
    store = open_store(s3_store.url)
    old = store.write("x", b"old")
    store.write("x", b"newer")
    for listed in (old, Entry(10**12, "tag"), Entry(0, "")):
        assert mirror.fetch(f"{s3_store.url}/x", listed).read_bytes() == b"newer"
        mirror.forget(mirror_path(f"{s3_store.url}/x"))
    with pytest.raises(StorageError, match="does not match its manifest"):
        mirror.fetch(f"{s3_store.url}/x", sha256=hashlib.sha256(b"old").hexdigest())
    assert not mirror_path(f"{s3_store.url}/x").exists()


def test_a_stale_listing(s3_store):
    store = open_store(f"{s3_store.url}/f")
    store.write("gone", b"1")
    store.write("changed", b"1")
    stale = [False]
    with s3_store.faulty(lambda r: "stale" if stale[0] and r.listing else None):
        folder = mirror.fetch_folder(f"{s3_store.url}/f")
        store.write("changed", b"two")
        stale[0] = True
        mirror.fetch_folder(folder)
        assert (folder / "changed").read_bytes() == b"1"  # as listed; the next run has the new one
        mirror.forget(folder / "changed")
        mirror.fetch_folder(folder)
        assert (folder / "changed").read_bytes() == b"two"
        store.remove(["gone"])
        mirror.forget(folder / "gone")
        with pytest.raises(MissingError, match="f/gone: there is no such object"):
            mirror.fetch_folder(folder)
    mirror.fetch_folder(folder)
    assert sorted(os.listdir(folder)) == ["changed"]


def test_an_object_that_changes_all_the_time(s3_store, monkeypatch):
    store = open_store(s3_store.url)
    store.write("x", b"0")
    count = iter(range(100))

    def change(request):
        if request.method == "GET" and not request.listing:
            store.write("x", b"%d" % next(count) * 3)

    with s3_store.faulty(change), pytest.raises(ChangedError, match="rerun the same command"):
        mirror.fetch(f"{s3_store.url}/x")


def _fetch_and_check(url, size, rounds, failures):
    for _ in range(rounds):
        content = mirror.fetch(url).read_bytes()
        if len(content) != size or len(set(content)) != 1:
            failures.put(len(content))


def test_processes_never_read_half_a_file(s3_store):
    store, size = open_store(s3_store.url), 300_000
    store.write("x", b"0" * size)
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    arguments = (f"{s3_store.url}/x", size, 5, failures)
    processes = [context.Process(target=_fetch_and_check, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    number = 0
    while any(process.is_alive() for process in processes):
        number += 1
        store.write("x", b"%d" % (number % 10) * size)
        time.sleep(0.3)
    assert [process.exitcode for process in processes] == [0, 0]
    assert failures.empty()


PUSH = """
import sys
from mmv_tf.util.storage import mirror
print("begin", flush=True)
mirror.push_folder(sys.argv[1])
print("end", flush=True)
"""


@pytest.mark.slow
def test_killed_while_uploading(s3_store):
    store = open_store(f"{s3_store.url}/data")
    folder = mirror.fetch_folder(str(store.root))
    content = {f"shard-{n}": b"%d" % n * 50_000 for n in range(12)}
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_bytes(b"all")
    for wait in (0.1, 0.4, 60):
        with s3_store.faulty(lambda r: "slow" if r.method == "PUT" else None) as proxy:
            proxy.slow_seconds = 0.2
            with subprocess.Popen(
                [sys.executable, "-c", PUSH, str(folder)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout.readline() == "begin\n"
                while not any(r.method == "PUT" for r in proxy.requests):
                    time.sleep(0.01)
                try:
                    process.wait(wait)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                ended = process.wait()
        there = store.list()
        assert all(store.read(name) == content[name] for name in there if name in content)
        assert ("manifest.json" in there) <= (set(content) <= set(there))
    assert ended == 0 and set(there) == {*content, "manifest.json"}
