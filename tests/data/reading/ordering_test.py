# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import ordering
from mmv_tf.data.reading.records import Records
from mmv_tf.data.records import framing, keys, shard_writer
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
    """Each record occurs once an epoch; workers' numbers differ by at most one."""
    epochs = [[], []]
    for worker in range(workers):
        count = {2: (4, 4), 3: (3, 3, 2), 5: (2, 2, 1, 2, 1)}[workers][worker]
        found = payloads(ordering.epochs(opened(data), 0, 0, worker, workers), 2 * count)
        epochs[0] += found[:count]
        epochs[1] += found[count:]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(everything(data))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        ordering.epochs(opened(data), 0, worker=2, workers=2)


def test_a_worker_without_records_is_told(data):
    with pytest.raises(ValueError, match=r"'train' of .* has no examples for worker 8 of 9"):
        ordering.epochs(opened(data), 0, worker=8, workers=9)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """4,000 records in two shards."""
    directory = tmp_path_factory.mktemp("many")
    data = records.write(directory, (4, 4))
    (good, *_) = data.shards[0]
    example = tf.train.SequenceExample.FromString(good)
    shards = []
    for shard in range(2):
        payloads = []
        for number in range(2000):
            name = f"film_{shard}_{number:04d}".encode()
            example.context.feature[keys.EXAMPLE_ID].bytes_list.value[:] = [name]
            payloads.append(example.SerializeToString())
        shards.append(payloads)
    data = records.Data(directory, shards)
    data.write()
    return data


def orders(data, worker=0, workers=1, **settings):
    """Return positions of examples in two epochs, and their counts, [2, N]."""
    ids = {payload: place for place, payload in enumerate(everything(data))}
    total = len(ids)
    count = -(-total // workers)
    found = payloads(ordering.epochs(opened(data, **settings), 3, 0, worker, workers), 2 * count)
    return np.array([ids[payload] for payload in found]).reshape(2, count)


@pytest.mark.parametrize("inspect", [pytest.param("always", marks=pytest.mark.slow), "never"])
def test_few_shards_are_shuffled_as_well_as_many(many, inspect):
    """Epochs have independent orders, and batches other combinations of records."""
    first, second = orders(many, shuffle_buffer=512, inspect=inspect)
    total = len(first)
    assert sorted(first) == sorted(second) == list(range(total))
    places = np.argsort(first), np.argsort(second)
    assert abs(np.corrcoef(*places)[0, 1]) < 0.1
    batch = 20
    together = [place // batch for place in places]
    pairs = total * (batch - 1) / 2
    # Pairs in one batch in both epochs, as a multiple of chance.
    both = np.unique(np.stack(together), axis=1, return_counts=True)[1]
    meetings = (both * (both - 1) / 2).sum()
    assert meetings / (pairs * (batch - 1) / (total - 1)) < 1.5


@pytest.mark.slow
def test_three_workers_on_two_shards_see_each_record_equally_often(many):
    seen = np.zeros(4000, int)
    for worker in range(3):
        np.add.at(seen, orders(many, worker, 3)[0], 1)
    # A worker's epoch may have one record more than another's.
    assert seen.min() >= 1 and seen.max() <= 2 and (seen == 2).sum() <= 2


def test_the_manifest_says_where_chunks_begin(tmp_path):
    path = tmp_path / "train-00000-of-00001.tfrecord"
    entry = shard_writer.write_shard(path, [bytes([n]) * (n + 1) for n in range(40)])
    assert tuple(entry["offsets"]) == framing.chunk_offsets(path, 16)
    assert len(entry["offsets"]) == 3
    data = path.read_bytes()
    path.write_bytes(data[: entry["offsets"][1]] + b"x" + data[entry["offsets"][1] + 1 :])
    assert framing.chunk_offsets(path, 16) is None


def test_a_service_s_worker_does_not_repeat_itself(tmp_path):
    """One unshuffled shard: an epoch ends before the next begins."""
    data = records.write(tmp_path, (4,))
    found = payloads(ordering.visits(opened(data, shuffle_buffer=1), 0), 8)
    assert found[:4] == found[4:] == data.shards[0]
