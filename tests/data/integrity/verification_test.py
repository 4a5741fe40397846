# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import Reader
from mmv_tf.data.integrity import verification
from mmv_tf.data.records import keys
from mmv_tf.data.records.keys import DMVR
from tests import records


@pytest.fixture
def data(tmp_path):
    return records.write(tmp_path / "data")


def reasons(found):
    return {finding.reason for finding in found.report.findings}


def test_good_data_is_clean_with_every_frame_decoded(data):
    found = verification.verify(data.directory, decode=True)
    assert found.clean
    assert found.splits == {"train": {"written": 8, "good": 8}}
    assert "clean" in verification.format_verification(found)


def test_a_flipped_byte_is_found_by_shard_offset_and_checksum(data):
    place = data.offset(1, 2) + 40
    data.patch(1, lambda content: content.__setitem__(place, content[place] ^ 1))
    found = verification.verify(data.directory)
    assert reasons(found) == {"payload checksum", "SHA-256"}
    first = found.report.findings[0]
    assert (first.shard, first.offset, first.records) == (data.path(1).name, data.offset(1, 2), 1)
    text = verification.format_verification(found)
    assert data.path(1).name in text and str(data.offset(1, 2)) in text
    assert json.loads(json.dumps(found.to_json()))["records"] == {
        "written": 8,
        "good": 7,
        "damaged": 1,
    }


def test_what_the_manifest_does_not_know(data):
    (data.directory / "train-00007-of-00008.tfrecord").write_bytes(b"")
    splits = data.manifest()["splits"]
    splits["train"]["num_examples"] = 9
    splits["train"]["shards"][1]["sha256"] = "0" * 64
    data.write_manifest(splits=splits)
    found = verification.verify(data.directory)
    assert reasons(found) == {"not in the manifest", "split count", "SHA-256"}
    assert found.report.reported == 0


def test_a_frame_that_only_decoding_shows_to_be_bad(data):
    def break_tables(example):
        value = example.feature_lists.feature_list[keys.FRAMES].feature[0].bytes_list.value
        frame = bytearray(value[0])
        place = frame.index(b"\xff\xc4")  # A Huffman table of impossible code lengths.
        frame[place + 5 : place + 21] = b"\xff" * 16
        value[0] = bytes(frame)

    data.change(0, 0, break_tables)
    assert verification.verify(data.directory).clean
    assert reasons(verification.verify(data.directory, decode=True)) == {"undecodable JPEG"}


def test_repair_keeps_the_good_records_and_tells_the_truth(data, tmp_path):
    data.change(0, 1, lambda example: example.feature_lists.feature_list.clear())
    place = data.offset(1, 3)
    data.patch(1, lambda content: content.__setitem__(place, content[place] ^ 1))
    data.add_to_split(num_with_video=8, num_with_audio=8, num_captions=24)
    clean = verification.repair(data.directory, tmp_path / "clean")
    assert clean.clean and clean.report.read == 6
    split = json.loads((tmp_path / "clean" / "manifest.json").read_text())["splits"]["train"]
    del split["shards"]
    assert split == {"num_examples": 6, "num_with_video": 6, "num_with_audio": 6}
    assert verification.verify(data.directory).report.read == 6  # the old ones are unchanged
    read = Reader(data.config(directory=str(tmp_path / "clean")), None, None)
    assert sum(len(batch["label"]) for batch in read.evaluate()) == read.num_examples() == 6
    with pytest.raises(ValueError, match="already exists"):
        verification.repair(data.directory, tmp_path / "clean")


def test_a_shard_without_good_records_is_left_out(data, tmp_path):
    data.path(0).write_bytes(b"rubbish" * 100)
    clean = verification.repair(data.directory, tmp_path / "clean")
    assert clean.clean and clean.shards == 1 and clean.report.read == 4
    data.path(1).write_bytes(b"")
    with pytest.raises(ValueError, match="no good record"):
        verification.repair(data.directory, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def dmvr_record(waveform):
    example = tf.train.SequenceExample()
    for index in range(4):
        step = example.feature_lists.feature_list[keys.FRAMES].feature.add()
        step.bytes_list.value.append(records.jpeg(30 * index))
    step = example.feature_lists.feature_list[keys.WAVEFORM].feature.add()
    step.float_list.value[:] = waveform
    return example.SerializeToString()


def test_records_of_dmvr_are_verified_and_their_sound_put_right(tmp_path):
    sound = records.speech_like()
    corrupt = np.round(sound.astype(np.float64) * (2**31 - 1)).astype("<i4").view("<f4")
    path = tmp_path / "dmvr" / "data-0.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(dmvr_record(sound))
        file.write(dmvr_record(corrupt))
    found = verification.verify(path.parent, DMVR)
    assert found.report.by_reason == {"corrupt DMVR audio": 1}
    clean = verification.repair(path.parent, tmp_path / "clean", DMVR)
    assert clean.clean and clean.report.read == 2
    payloads = list(tf.data.TFRecordDataset(str(tmp_path / "clean" / path.name)))
    step = tf.train.SequenceExample.FromString(payloads[1].numpy()).feature_lists
    (feature,) = step.feature_list[keys.WAVEFORM].feature
    # Samples whose integer was a signaling NaN may have lost one bit.
    assert np.mean(np.abs(np.array(feature.float_list.value) - sound) < 3e-3) > 0.99
