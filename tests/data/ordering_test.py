# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data import ordering
from mmv_tf.data.record_checks import Limits
from mmv_tf.data.records import Records
from tests import records


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("data"), (3, 3, 2))


def opened(data, **settings):
    return Records(data.config(**settings), Limits(), None)


def everything(data):
    return [payload for shard in data.shards for payload in shard]


def payloads(dataset, count):
    return [record[2].numpy() for record in dataset.take(count)]


def test_in_order(data):
    found = list(ordering.in_order(opened(data)))
    assert [record.numpy() for _, _, record in found] == everything(data)
    names = [(name.numpy().decode(), int(number)) for name, number, _ in found]
    assert names[2:5] == [(data.path(0).name, 2), (data.path(1).name, 0), (data.path(1).name, 1)]


def test_every_record_once_an_epoch_in_an_order_of_seed_and_epoch(data):
    found = payloads(ordering.epochs(opened(data), seed=0), 24)
    epochs = [found[:8], found[8:16], found[16:]]
    assert all(sorted(epoch) == sorted(everything(data)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert payloads(ordering.epochs(opened(data), seed=0), 8) == epochs[0]
    assert payloads(ordering.epochs(opened(data), seed=1), 8) != epochs[0]
    assert [int(epoch) for *_, epoch in ordering.epochs(opened(data), 0).take(9)] == [0] * 8 + [1]


@pytest.mark.parametrize("start", [3, 8, 13])
def test_a_run_goes_on_at_the_very_record(data, start):
    whole = payloads(ordering.epochs(opened(data), seed=0), 24)
    assert payloads(ordering.epochs(opened(data), 0, start), 24 - start) == whole[start:]


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers_share_the_records(data, workers):
    """Three shards, so five workers share records."""
    seen = []
    for worker in range(workers):
        count = {2: (5, 3), 3: (3, 3, 2), 5: (2, 2, 2, 1, 1)}[workers][worker]
        found = payloads(ordering.epochs(opened(data), 0, 0, worker, workers), 2 * count)
        if workers <= 3:  # Its own shards; records are dealt out anew in each epoch.
            assert sorted(found[:count]) == sorted(found[count:])
        seen += found[:count]
    assert sorted(seen) == sorted(everything(data))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        ordering.epochs(opened(data), 0, worker=2, workers=2)


def test_a_worker_without_records_is_told(data):
    with pytest.raises(ValueError, match=r"'train' of .* has no examples for worker 8 of 9"):
        ordering.epochs(opened(data), 0, worker=8, workers=9)


def test_a_service_s_worker_does_not_repeat_itself(tmp_path):
    """One shard, unshuffled: an epoch comes whole before the next."""
    data = records.write(tmp_path, (4,))
    found = payloads(ordering.visits(opened(data, shuffle_buffer=1), 0), 8)
    assert found[:4] == found[4:] == data.shards[0]
