# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmv_tf.data import Reader, default_config
from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.training.run_data import RunData
from mmv_tf.util.configuration import write_json
from tests import records


def opened(*directories, **changes):
    found = []
    for directory in directories:
        config = default_config()
        config.update(directory=str(directory), frame_rate=5.0, **changes)
        found.append(Reader(config, None, None))
    return RunData(found)


@pytest.fixture
def two(tmp_path):
    """Two data sets."""
    counts = {"one": (3, 2), "two": (4,)}
    return [records.write(tmp_path / name, shards).directory for name, shards in counts.items()]


def change(directory, edit):
    manifest = read_manifest(directory)
    edit(manifest)
    write_json(manifest, directory / "manifest.json")


def test_a_run_without_a_record_gets_one(two, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    opened(*two).check(run)
    assert not list(run.iterdir())
    opened(*two).save(run)
    before = (run / "data.json").read_text()
    counts = {name: one["splits"]["train"]["records"] for name, one in json.loads(before).items()}
    assert counts == {"data set 1": 5, "data set 2": 4}
    opened(*two).check(run)
    opened(two[0]).save(run)
    assert (run / "data.json").read_text() == before


def test_what_differs_is_named(two, tmp_path):
    opened(*two).save(tmp_path)
    change(two[1], lambda manifest: manifest.update(sources=[], tool_version="9"))
    opened(*two).check(tmp_path)
    change(two[1], lambda m: m["splits"]["train"]["shards"][0].update(records=7))
    with pytest.raises(ValueError, match=rf"^{two[1]}: splits\.train\.records is 7, but was 4 in"):
        opened(*two).check(tmp_path)


def test_records_without_a_manifest_are_told_by_names_and_sizes(two, tmp_path):
    foreign = {"records": "dmvr", "files": "*.tfrecord"}
    opened(two[0], **foreign).save(tmp_path)
    opened(two[0], **foreign).check(tmp_path)
    shard = min(two[0].glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes() * 2)
    with pytest.raises(ValueError, match=r"splits\.all\.sha256 is '\w{16}', but was"):
        opened(two[0], **foreign).check(tmp_path)


def test_a_broken_record_is_named(two, tmp_path):
    (tmp_path / "data.json").write_text("[")
    with pytest.raises(ValueError, match=r"data\.json: not JSON"):
        opened(*two).check(tmp_path)
