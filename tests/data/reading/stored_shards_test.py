# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shards in an object store are read as the same shards on a disk."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from mmv_tf.data import Input, default_config
from mmv_tf.data.integrity.damage import DamagedDataError
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import ordering
from mmv_tf.data.reading.reader import Reader
from mmv_tf.data.reading.records import Records
from mmv_tf.data.records import manifests, shard_writer
from mmv_tf.util.storage.errors import StorageError
from mmv_tf.util.storage.store import open_store
from tests import records
from tests.storage_servers import at_random


def write(directory: pathlib.Path, sizes=(40, 21, 3)) -> records.Data:
    """Shards whose manifest has offsets and checksums, as prepare_data's."""
    data = records.write(directory, sizes)
    manifest = data.manifest()
    manifest["splits"]["train"]["shards"] = [
        shard_writer.write_shard(data.path(number), payloads)
        for number, payloads in enumerate(data.shards)
    ]
    manifests.write_manifest(directory, manifest)
    return data


def upload(data: records.Data, url: str) -> str:
    store = open_store(f"{url}/data")
    for path in sorted(data.directory.iterdir()):
        store.upload(path, path.name)
    return f"{url}/data"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


def opened(config) -> Records:
    return Records(config, Limits(), None)


def elements(dataset, count=-1):
    return [[part.numpy() for part in element] for element in dataset.take(count)]


@pytest.mark.parametrize(
    "either_store", ["s3", pytest.param("gs", marks=pytest.mark.slow)], indirect=True
)
def test_the_same_records_in_the_same_order(data, either_store):
    url = upload(data, either_store.url)
    local, remote = opened(data.config()), opened(data.config(directory=url))
    assert elements(ordering.in_order(local)) == elements(ordering.in_order(remote))
    for arguments in ((0, 0), (0, 70), (1, 0, 1, 3)):
        assert elements(ordering.epochs(local, *arguments), 150) == elements(
            ordering.epochs(remote, *arguments), 150
        )


@pytest.mark.parametrize("inspect", ["always", "never"])
def test_the_same_with_and_without_inspection(data, s3_store, inspect):
    url = upload(data, s3_store.url)
    local = opened(data.config(inspect=inspect))
    remote = opened(data.config(directory=url, inspect=inspect))
    assert remote.inspected == (inspect == "always")
    assert remote.num_good() == 64
    assert remote.damage() == local.damage()
    assert elements(ordering.epochs(local, 5), 80) == elements(ordering.epochs(remote, 5), 80)


@pytest.mark.slow
def test_batches_and_mixtures_are_the_same(data, s3_store):
    url = upload(data, s3_store.url)

    def batches(directory):
        config = data.config()
        config.directory = ""
        config.mixture = (
            {"directory": directory, "weight": 1.0},
            {"directory": str(data.directory), "weight": 2.0},
        )
        return Input(config).train(3, 4).take(2)

    for one, other in zip(batches(str(data.directory)), batches(url), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], key)
    evaluated = [
        Reader(data.config(directory=d), None, None).evaluate(pad=True, workers=2)
        for d in (str(data.directory), url)
    ]
    for one, other in zip(*evaluated, strict=True):
        np.testing.assert_array_equal(one["example_id"], other["example_id"])
        np.testing.assert_array_equal(one["video"], other["video"])


def test_a_second_program_reads_from_the_cache_alone(data, s3_store):
    url = upload(data, s3_store.url)
    expected = elements(ordering.in_order(opened(data.config(directory=url))))
    seen = []
    with s3_store.faulty(lambda request: seen.append(request) or None):
        found = elements(ordering.in_order(opened(data.config(directory=url))))
    assert found == expected
    assert not [request for request in seen if "tfrecord" in request.path]


@pytest.mark.parametrize("gigabytes", [pytest.param(0.0, marks=pytest.mark.slow), 60e-6])
def test_a_small_cache_or_none_does(data, s3_store, gigabytes, tmp_path):
    url = upload(data, s3_store.url)
    config = data.config(directory=url, cache_gb=gigabytes, cache_dir=str(tmp_path / "cache"))
    local, remote = opened(data.config()), opened(config)
    assert elements(ordering.epochs(local, 0), 192) == elements(ordering.epochs(remote, 0), 192)
    stored = sum(path.stat().st_size for path in (tmp_path / "cache").glob("*/*.chunk"))
    assert stored <= 1e9 * gigabytes


def test_disturbances_change_nothing(data, s3_store):
    url = upload(data, s3_store.url)
    expected = elements(ordering.epochs(opened(data.config()), 0), 64)
    with s3_store.faulty(at_random(0, 0.3, ("500", "cut", "cut_body", "lost"), most=8)) as proxy:
        found = elements(ordering.epochs(opened(data.config(directory=url)), 0), 64)
    assert found == expected
    assert proxy is not None


def test_a_damaged_object_is_named_by_its_record(data, s3_store):
    url = upload(data, s3_store.url)
    store = open_store(url)
    content = bytearray(store.read(data.path(0).name))
    content[data.offset(0, 20) + 40] ^= 1
    store.write(data.path(0).name, bytes(content))
    reader = Reader(data.config(directory=url), None, None)

    def read():
        with reader.explained():
            list(reader.evaluate())

    with pytest.raises(DamagedDataError, match=f"{data.path(0).name} at byte"):
        read()
    skipping = Reader(
        data.config(directory=url, on_bad_record="skip", max_bad_fraction=0.1), None, None
    )
    assert skipping.num_examples() == 63
    assert sum(len(batch["label"]) for batch in skipping.evaluate()) == 63


@pytest.mark.parametrize("change", ["removed", "cut"])
def test_an_object_that_changed_since_the_manifest(data, s3_store, change):
    url = upload(data, s3_store.url)
    store, name = open_store(url), data.path(1).name
    if change == "removed":
        store.remove([name])
    else:
        store.write(name, store.read(name)[:-1])
    reason = (
        "no such object, but" if change == "removed" else r"has \d+ bytes, but the manifest states"
    )
    with pytest.raises(ValueError, match=f"^{url}/{name}: {reason}"):
        Reader(data.config(directory=url), None, None).evaluate()


def test_an_object_that_vanishes_while_it_is_read(data, s3_store):
    url = upload(data, s3_store.url)
    reader = Reader(data.config(directory=url), None, None)
    batches = reader.evaluate()
    open_store(url).remove([data.path(0).name])

    def read():
        with reader.explained():
            list(batches)

    with pytest.raises(StorageError, match=f"^{url}/{data.path(0).name}: there is no such object"):
        read()


def test_a_folder_without_a_manifest_and_a_missing_bucket(s3_store):
    config = default_config()
    config.directory = f"{s3_store.url}/nothing"
    with pytest.raises(ValueError, match=f"^{s3_store.url}/nothing/manifest.json: no such file"):
        Reader(config, None, None)
    config.directory = "s3://no-such-bucket/data"
    with pytest.raises(StorageError, match=r"^s3://no-such-bucket.*no such bucket"):
        Reader(config, None, None)


def test_records_of_other_tools(data, s3_store):
    url = upload(data, s3_store.url)
    settings = {"records": "dmvr", "stored_frame_rate": records.FRAME_RATE, "inspect": "always"}
    local = opened(data.config(**settings))
    remote = opened(data.config(directory=url, **settings))
    assert [shard.name for shard in remote.shards()] == [shard.name for shard in local.shards()]
    assert remote.num_good() == local.num_good()
    with pytest.raises(ValueError, match="no object matches 'x'"):
        opened(data.config(directory=url, files="x", **settings)).shards()


def test_a_service_can_t_read_a_store(data, s3_store):
    url = upload(data, s3_store.url)
    config = data.config(directory=url, service="grpc://localhost:1")
    with pytest.raises(ValueError, match=f"^{url}: shards in a store"):
        Input(config)


def test_an_older_manifest_without_checksums_or_offsets(data, s3_store):
    url = upload(data, s3_store.url)
    store = open_store(url)
    expected = elements(ordering.epochs(opened(data.config()), 0), 64)
    for keys in (("crc32c",), ("crc32c", "offsets")):
        manifest = json.loads(store.read(manifests.MANIFEST))
        for shard in manifest["splits"]["train"]["shards"]:
            for key in keys:
                shard.pop(key, None)
        store.write(manifests.MANIFEST, json.dumps(manifest).encode())
        assert elements(ordering.epochs(opened(data.config(directory=url)), 0), 64) == expected


@pytest.mark.parametrize("size", [-1.0, float("nan"), float("inf")])
def test_an_impossible_size(data, s3_store, size):
    url = upload(data, s3_store.url)
    with pytest.raises(ValueError, match=r"data\.cache_gb"):
        ordering.in_order(opened(data.config(directory=url, cache_gb=size)))
