# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ids of a batch's rows, and the warning about batches larger than the data."""

import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import training
from mmv_tf.data import Input
from mmv_tf.data.records import keys
from mmv_tf.training import duplicates, experiment
from tests import records, small_world


def batch(**names):
    return {name: tf.constant([n.encode() for n in values]) for name, values in names.items()}


def groups(ids):
    """Which rows have the same id, as numbers in order."""
    seen: dict[int, int] = {}
    return [seen.setdefault(value, len(seen)) for value in ids.numpy().tolist()]


def test_rows_are_told_apart_by_clip_or_by_film():
    values = batch(example_id=["a_1", "a_2", "a_1", "b_1"], media_id=["a", "a", "a", "b"])
    assert groups(duplicates.ids_of(values, "example")) == [0, 1, 0, 2]
    assert groups(duplicates.ids_of(values, "source")) == [0, 0, 0, 1]
    assert duplicates.ids_of(values, "none") is None
    assert duplicates.ids_of(values, "example").dtype == tf.int64


def test_ids_are_the_same_in_every_process():
    """All workers must compute them alike: FarmHash, not Python's salted hash."""
    ids = duplicates.ids_of(batch(example_id=["film_000000000_000001200"]), "example")
    assert ids.numpy().tolist() == [6245659347853388912]


def test_batches_that_name_nothing():
    assert duplicates.ids_of({}, "example") is None
    with pytest.raises(ValueError, match=r"These data name no source films, which training\.mask"):
        duplicates.ids_of(batch(example_id=["a"]), "source")
    names = batch(example_id=["a", "b", "c", "d", "e"], media_id=["x", "", "", "", ""])
    with pytest.raises(ValueError, match=r"without a source film: b, c, d and 1 more, which .*'ex"):
        duplicates.ids_of(names, "source")


def test_a_wrong_setting_is_refused():
    with pytest.raises(ValueError, match="'examples'; expected one of example, source, none"):
        duplicates.check("examples")


def source_of(directory, *mixture, **settings):
    config = records.Data(directory, []).config(**settings)
    config.mixture = mixture
    return Input(config.lock())


def test_a_batch_larger_than_the_data_is_told_once(tmp_path, caplog):
    records.write(tmp_path, (4, 4))
    source = source_of(tmp_path)
    duplicates.warn_of_small_data(source, 8, "example")
    assert not caplog.messages
    duplicates.warn_of_small_data(source, 12, "example")
    duplicates.warn_of_small_data(source, 12, "none")
    masked, unmasked = caplog.messages
    start = f"The batch of 12 clips is larger than the 8 training clips of {tmp_path} (train): "
    assert masked.startswith(
        start + "each batch contains clips more than once, which the loss then"
    )
    assert masked.endswith("Set data.batch_size to 8 or less, or prepare more clips.")
    assert unmasked.startswith(start) and "false negatives of each other" in unmasked


def test_each_data_set_of_a_mixture_is_compared_with_its_share(tmp_path, caplog):
    records.write(tmp_path / "large", (16, 16))
    records.write(tmp_path / "small", (4, 4), media_id="other")
    entries = [
        {"directory": str(tmp_path / "large"), "weight": 1.0},
        {"directory": str(tmp_path / "small"), "weight": 3.0},
    ]
    source = source_of(tmp_path, *entries)
    duplicates.warn_of_small_data(source, 8, "example")
    assert not caplog.messages
    duplicates.warn_of_small_data(source, 16, "example")
    (message,) = caplog.messages
    assert message.startswith(
        f"The share of 12 clips in the batch of 16 is larger than the 8 training clips of "
        f"{tmp_path / 'small'} (train): "
    )
    assert "Set data.batch_size to 10 or less" in message


def test_records_without_a_film_are_refused_for_source(tmp_path):
    data = records.write(tmp_path, (2,))
    duplicates.check_sources(source_of(tmp_path).readers, "source")
    example = tf.train.SequenceExample.FromString(data.shards[0][0])
    del example.context.feature[keys.MEDIA_ID]
    path = tmp_path / "foreign" / "x.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    settings = dict(stored_frame_rate=records.FRAME_RATE, stored_sample_rate=records.SAMPLE_RATE)
    source = source_of(path.parent, records="mediasequence", files="*.tfrecord", **settings)
    duplicates.check_sources(source.readers, "example")
    with pytest.raises(ValueError, match=r"foreign: its records \(mediasequence\) name no source"):
        duplicates.check_sources(source.readers, "source")


@pytest.fixture(scope="module")
def config(prepared, tmp_path_factory):
    """A run of one step whose batch is twice the data."""
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "strategy": "one_device",
            "word_vectors": str(small_world.write_word_vectors(tmp_path_factory.mktemp("words"))),
            "unit_word_vectors": False,
            "model": small_world.model_config(),
            "data": small_world.data_config(prepared),
            "optimizer": training.default_optimizer_config(),
            "training": training.default_config(),
        }
    )
    config.training.steps = 1
    config.data.batch_size = 16
    return config


@pytest.mark.slow
def test_a_run_with_clips_of_one_film_masked_is_at_the_floor(config, tmp_path, caplog):
    config.training.mask_duplicates = "source"
    loss = experiment.run(config.lock(), tmp_path / "run")["loss/va"]
    np.testing.assert_allclose(loss, np.log(2), atol=1e-5)  # no negatives are left
    told = [line for line in caplog.messages if line.startswith("The batch of 16 clips is larger")]
    assert len(told) == 1


def test_a_wrong_setting_leaves_no_folder(config, tmp_path):
    wrong = config.copy_and_resolve_references().unlock()
    wrong.training.mask_duplicates = "clip"
    with pytest.raises(ValueError, match=r"training\.mask_duplicates is 'clip'"):
        experiment.run(wrong.lock(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
