# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.integrity import inspection
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading.records import Records
from tests import records


def opened(data, **settings):
    return Records(data.config(**settings), Limits(), 16_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("data"), (3, 2))


def test_the_manifest_s_shards_and_their_counts(data):
    found = opened(data)
    assert [shard.path for shard in found.shards()] == [data.path(0), data.path(1)]
    assert [found.count(shard) for shard in found.shards()] == [3, 2]
    assert found.num_good() == 5 and found.all_have_frames
    assert found.damage().summary() == "all 5 records are good"


def test_shards_without_good_records_are_not_read(tmp_path):
    data = records.write(tmp_path, (3, 0, 2))
    found = opened(data, on_bad_record="skip")
    assert [shard.path for shard in found.filled_shards()] == [data.path(0), data.path(2)]
    assert found.num_good() == 5


def test_an_unknown_split_is_refused(data):
    with pytest.raises(ValueError, match="no split 'dev'"):
        opened(data, split="train+dev").num_good()


def test_who_looks_through_the_shards(tmp_path):
    data = records.write(tmp_path, (3, 2))
    cache = data.directory / inspection.CACHE_FILE
    unseen = opened(data, inspect="never")
    assert not unseen.inspected and unseen.segments(unseen.shards()[0]) == ((0, 3),)
    assert not cache.exists()
    seen = opened(data, inspect="never", on_bad_record="skip")
    assert seen.inspected and seen.segments(seen.shards()[0]) == ((0, 3),)
    assert cache.exists()
    assert opened(data).inspected
    with pytest.raises(ValueError, match="inspect is 'sometimes'"):
        opened(data, inspect="sometimes")


def test_rates_of_records_without_a_manifest_are_told(data):
    foreign = {"records": "dmvr", "files": "*.tfrecord"}
    assert opened(data, **foreign).manifest["sample_rate"] == 16_000
    told = opened(data, **foreign, stored_sample_rate=800, stored_frame_rate=9.0).manifest
    assert (told["frame_rate"], told["sample_rate"]) == (9.0, 800)
    with pytest.raises(ValueError, match=r"no file matches '\*\.tfr'"):
        opened(data, **foreign | {"files": "*.tfr"}).shards()
