# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shards in an object store are verified and repaired like those of a disk."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mmv_tf.data.integrity import verification
from mmv_tf.data.reading.reader import Reader
from mmv_tf.data.records import manifests
from mmv_tf.util.storage.errors import StorageError
from mmv_tf.util.storage.store import open_store
from tests import records, running


@pytest.fixture
def data(tmp_path):
    return records.write(tmp_path / "data", (20, 4))


@pytest.fixture
def url(data, s3_store):
    store = open_store(f"{s3_store.url}/data")
    for path in data.directory.iterdir():
        store.upload(path, path.name)
    return f"{s3_store.url}/data"


def change(url, name, edit):
    store = open_store(url)
    content = bytearray(store.read(name))
    edit(content)
    store.write(name, bytes(content))


def as_local(found, url, data):
    return dataclasses.replace(found, directory=found.directory.replace(url, str(data.directory)))


def test_clean_shards(data, url):
    found = verification.verify(url)
    assert found.clean
    assert found.directory == url
    assert as_local(found, url, data) == verification.verify(data.directory)


def test_faults_are_those_of_a_disk(data, url):
    first, second = data.path(0), data.path(1)
    place = data.offset(0, 3) + 40
    first.write_bytes(first.read_bytes()[:place] + b"?" + first.read_bytes()[place + 1 :])
    (data.directory / "train-00009-of-00009.tfrecord").write_bytes(b"")
    change(url, first.name, lambda content: content.__setitem__(place, ord("?")))
    open_store(url).write("train-00009-of-00009.tfrecord", b"")
    second.unlink()
    open_store(url).remove([second.name])
    found, local = verification.verify(url), verification.verify(data.directory)
    assert found.to_json()["by_reason"] == local.to_json()["by_reason"]
    assert as_local(found, url, data).report.findings == local.report.findings
    assert {finding.reason for finding in found.report.findings} >= {
        "payload checksum",
        "missing shard",
        verification.CHECKSUM,
        verification.UNLISTED,
    }


def test_repaired_shards_are_in_the_store(data, url):
    place = data.offset(0, 3) + 40
    change(url, data.path(0).name, lambda content: content.__setitem__(place, ord("?")))
    clean = verification.repair(url, f"{url}/repaired")
    assert clean.clean
    assert clean.report.read == 23
    store = open_store(f"{url}/repaired")
    assert list(store.list()) == [manifests.MANIFEST, data.path(0).name, data.path(1).name]
    manifest = json.loads(store.read(manifests.MANIFEST))
    assert all("crc32c" in shard for shard in manifest["splits"]["train"]["shards"])
    reader = Reader(data.config(directory=f"{url}/repaired"), None, None)
    assert sum(len(batch["label"]) for batch in reader.evaluate()) == 23
    with pytest.raises(ValueError, match=f"^{url}/repaired: already exists"):
        verification.repair(url, f"{url}/repaired")


def test_a_store_that_does_not_answer_is_no_damage(url, s3_store):
    def deny(request):
        return "403" if request.method == "GET" and "tfrecord" in request.path else None

    with s3_store.faulty(deny), pytest.raises(StorageError, match=f"^{url}/train-0000"):
        verification.verify(url)


@pytest.mark.slow
def test_the_program(data, url):
    place = data.offset(1, 1) + 40
    change(url, data.path(1).name, lambda content: content.__setitem__(place, ord("?")))
    results = f"{url.removesuffix('data')}results.json"
    found = running.run("verify_data", f"--data={url}", "--repair", f"--output={results}")
    assert found.returncode == 1, found.stderr
    assert f"{url}/repaired: 23 records in 2 clean shards." in found.stdout
    content = json.loads(open_store(results).read())
    assert content["directory"] == url
    assert content["repaired"]["directory"] == f"{url}/repaired"
    assert verification.verify(f"{url}/repaired").clean
