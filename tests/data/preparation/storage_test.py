# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preparation from and to object stores."""

import collections
import dataclasses
import json
import re
import shutil

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.datasets import read_data_set
from mmv_tf.data.preparation import blocks, decoding, pipeline, shards
from mmv_tf.util.shares import Share
from mmv_tf.util.storage import workspace
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import name_of
from tests import media_samples, storage_servers
from tests.data.preparation.samples import CUES, SETTINGS, contents
from tests.evaluation import small_benchmarks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two films with captions, one of them in a folder of its own, and a source that fails."""
    path = tmp_path_factory.mktemp("films")
    (path / "deep é").mkdir()
    for name in ("a", "deep é/b"):
        media_samples.write_film(path / f"{name}.mp4", 3.0, tone_start=1.0)
        media_samples.write_vtt(path / f"{name}.vtt", CUES)
    (path / "bad.mp4").write_text("no film")
    shutil.copy(path / "a.vtt", path / "bad.vtt")
    (path / "notes.txt").write_text("no film")
    return path


def upload(folder, url):
    store = open_store(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.upload(path, path.relative_to(folder).as_posix())


def objects(url):
    store = open_store(url)
    return {name: store.read(name) for name in store.list()}


def prepare(url, **more):
    found = preparation.find(f"{url}/films")
    return preparation.prepare(
        found.sources, f"{url}/data", SETTINGS, passed_over=found.passed_over, **more
    )


def do_task(url, text):
    job = pipeline.Job(preparation.find_sources(f"{url}/films"), SETTINGS)
    return preparation.prepare_task(job, f"{url}/data", Share.parse(text))


@pytest.fixture
def local(folder, tmp_path, in_process):
    """What one machine writes to its disk."""
    preparation.prepare(preparation.find_sources(folder), tmp_path / "local", SETTINGS)
    return contents(tmp_path / "local")


def check_like(local, url):
    """Compares the shards in a store with local ones, and returns its manifest."""
    found = objects(f"{url}/data")
    assert found.keys() == local.keys()
    for name, content in local.items():
        if name != "manifest.json":
            assert found[name] == content, name
    manifest = json.loads(found["manifest.json"])
    assert manifest["splits"] == json.loads(local["manifest.json"])["splits"]
    return manifest


def test_from_a_store_to_a_store(either_store, folder, local, in_process):
    upload(folder, f"{either_store.url}/films")
    _, was_there = prepare(either_store.url)
    assert not was_there
    manifest = check_like(local, either_store.url)
    rows = {row["media_id"]: row for row in manifest["sources"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a": "ok",
        "bad": "corrupt",
        "deep é/b": "ok",
    }
    bad = f"{either_store.url}/films/bad.mp4"
    assert rows["bad"]["path"] == bad
    assert rows["bad"]["reason"].startswith(f"{bad}: can't be decoded")
    assert manifest["passed_over"] == {".txt": 1}
    assert str(either_store.cache) not in json.dumps(manifest)
    # Another machine finds it done; nothing of the work is left on this one.
    either_store.fresh_machine()
    assert prepare(either_store.url)[1]
    assert not list(either_store.cache.rglob("*.block"))


def test_a_list_in_a_store_and_files_elsewhere(s3_store, folder, tmp_path, in_process):
    upload(folder, f"{s3_store.url}/films")
    rows = f"path,start,end\n../films/a.mp4,0,1\n{s3_store.url}/films/deep é/b.mp4,1,2\nno.mp4,,\n"
    open_store(s3_store.url).write("lists/list.csv", rows.encode())
    sources = preparation.read_listing(f"{s3_store.url}/lists/list.csv")
    settings = dataclasses.replace(SETTINGS, cut="list")
    manifest, _ = preparation.prepare(sources, tmp_path / "data", settings)
    statuses = {row["path"]: row["status"] for row in manifest["sources"]}
    assert statuses == {
        f"{s3_store.url}/films/a.mp4": "ok",
        f"{s3_store.url}/films/deep é/b.mp4": "ok",
        f"{s3_store.url}/lists/no.mp4": "missing",
    }


def test_tasks_on_machines_that_share_only_the_store(s3_store, folder, local, in_process):
    upload(folder, f"{s3_store.url}/films")
    for text in ("2/3", "3/3"):
        do_task(s3_store.url, text)
        s3_store.fresh_machine()
    with pytest.raises(ValueError, match="tasks not done yet: 1/3"):
        prepare(s3_store.url, finish=True)
    do_task(s3_store.url, "1/3")
    s3_store.fresh_machine()
    prepare(s3_store.url, finish=True)
    check_like(local, s3_store.url)
    by_tasks = objects(f"{s3_store.url}/data")
    open_store(f"{s3_store.url}/data").remove(by_tasks)
    prepare(s3_store.url)
    assert objects(f"{s3_store.url}/data") == by_tasks


class KilledError(BaseException):
    """Stand-in for a kill, which no `except Exception` catches."""


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [(decoding, "write_block", 2), (shards, "write_checked_json", 2), (pipeline, "publish", 0)],
)
def test_resumes_from_the_store_alone(
    s3_store, folder, local, in_process, monkeypatch, owner, name, calls
):
    upload(folder, f"{s3_store.url}/films")
    original, count = getattr(owner, name), 0

    def killed(*arguments):
        nonlocal count
        count += 1
        if count > calls:
            raise KilledError
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(KilledError):
            prepare(s3_store.url)
    kept = [key for key in open_store(f"{s3_store.url}/data").list() if key.endswith(".block")]
    assert kept
    s3_store.fresh_machine()
    decoded = []
    with monkeypatch.context() as patch:
        patch.setattr(
            decoding, "write_block", lambda *a: decoded.append(a[1]) or blocks.write_block(*a)
        )
        prepare(s3_store.url)
    assert len(decoded) == 4 - len(kept)
    check_like(local, s3_store.url)


def test_damage_in_the_store_is_mended(s3_store, folder, local, in_process, monkeypatch):
    upload(folder, f"{s3_store.url}/films")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "publish", lambda *a: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            prepare(s3_store.url)
    store = open_store(f"{s3_store.url}/data")
    names = [name for name in store.list() if name.endswith(".block")]
    content = bytearray(store.read(names[0]))
    content[10] ^= 1
    store.write(names[0], bytes(content))
    store.write(names[1], store.read(names[1])[:-9])
    with pytest.raises(ValueError, match=rf"{names[0]}: is damaged; rerun the same command"):
        prepare(s3_store.url)
    prepare(s3_store.url)
    check_like(local, s3_store.url)


def test_faults_lose_nothing(s3_store, folder, local, in_process):
    upload(folder, f"{s3_store.url}/films")
    with s3_store.faulty(storage_servers.at_random(seed=1, share=0.2)) as proxy:
        prepare(s3_store.url)
    assert sum(proxy.injected.values()) > 10
    check_like(local, s3_store.url)


@pytest.mark.slow
def test_a_hundred_faults_lose_nothing(s3_store, folder, local, in_process, monkeypatch, capfd):
    """Prepares anew on one fresh machine after the other, until a hundred faults have happened."""
    upload(folder, f"{s3_store.url}/films")
    kinds = [*storage_servers.FAULTS, "stale"]
    injected = collections.Counter()
    seed = 0
    while injected.total() < 100 or len(injected) < len(kinds):
        seed += 1
        s3_store.fresh_machine()
        plan = storage_servers.at_random(seed, 0.3, kinds)
        with s3_store.faulty(plan) as proxy, workspace.tallied():
            prepare(s3_store.url)
        injected += proxy.injected
        (line,) = capfd.readouterr().err.splitlines()[-1:]
        assert re.fullmatch(r"storage: \d+ operations? (was|were) retried \(.+\)\.", line)
        check_like(local, s3_store.url)
        open_store(f"{s3_store.url}/data").remove(objects(f"{s3_store.url}/data"))
    print(f"{injected.total()} faults in {seed} preparations: {dict(injected)}")


def test_mistakes_are_told_before_the_work(s3_store, folder, in_process):
    upload(folder, f"{s3_store.url}/films")
    sources = preparation.find_sources(f"{s3_store.url}/films")
    with pytest.raises(OSError, match=r"s3://no-such-bucket.*there is no such bucket"):
        preparation.find_sources("s3://no-such-bucket/films")
    with pytest.raises(OSError, match=r"s3://no-such-bucket.*there is no such bucket"):
        preparation.prepare(sources, "s3://no-such-bucket/data", SETTINGS)
    with pytest.raises(OSError, match=rf"{s3_store.url}/none: there is no such object"):
        preparation.find_sources(f"{s3_store.url}/none")
    with (
        s3_store.faulty(lambda request: "403" if request.method == "PUT" else None),
        pytest.raises(OSError, match="these credentials do not permit") as caught,
    ):
        preparation.prepare(sources, f"{s3_store.url}/data", SETTINGS)
    assert storage_servers.SECRET not in str(caught.value)
    assert not open_store(f"{s3_store.url}/data").list()


def test_a_film_that_changed_since_it_was_listed_stops_the_run(s3_store, folder, in_process):
    upload(folder, f"{s3_store.url}/films")
    sources = preparation.find_sources(f"{s3_store.url}/films")
    open_store(f"{s3_store.url}/films").write("a.mp4", b"another film")
    with pytest.raises(OSError, match=r"a\.mp4: the object has changed since it was listed"):
        preparation.prepare(sources, f"{s3_store.url}/data", SETTINGS)


def test_a_data_set_in_a_store_is_read_like_a_local_one(s3_store, tmp_path):
    data = small_benchmarks.kinetics(tmp_path / "kinetics")
    upload(data, f"{s3_store.url}/kinetics")
    local = read_data_set("kinetics600", data)
    found = read_data_set("kinetics600", f"{s3_store.url}/kinetics")
    assert found.labels == local.labels
    assert len(found.sources) == len(local.sources) > 0
    for one, other in zip(found.sources, local.sources, strict=True):
        name = other.path.relative_to(data).as_posix()
        assert name_of(one.path) == f"{s3_store.url}/kinetics/{name}"
        assert one.path.exists() == other.path.exists()
        assert dataclasses.replace(one, path=other.path) == other
