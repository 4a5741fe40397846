# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools
import json

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import version
from mmv_tf.data.captions import Caption
from mmv_tf.data.records import keys, manifests, shard_writer

CLIP = shard_writer.ClipSpan("film é", 1_500, 2_500, 0, "train", ("bird",))
CAPTIONS = [Caption(1.0, 2.0, "one é"), Caption(2.0, 3.25, "two")]


def media(waveform=True):
    samples = np.linspace(-1, 1, 16_000, dtype=np.float32) if waveform else None
    return shard_writer.ClipMedia([b"jpeg0", b"jpeg1", b"jpeg2"], 48, 64, samples)


def example(clip=CLIP, waveform=True):
    return shard_writer.sequence_example(
        clip, media(waveform), CAPTIONS, {"bird": 3}, 3.0, 16_000, own=CAPTIONS[1:]
    )


def test_record_has_every_key():
    record = example()
    context = record.context.feature
    assert context[keys.MEDIA_ID].bytes_list.value == ["film é".encode()]
    assert context[keys.EXAMPLE_ID].bytes_list.value == ["film é_000001500_000002500".encode()]
    integers = {
        keys.CLIP_START: [1_500_000],
        keys.CLIP_END: [2_500_000],
        keys.HEIGHT: [48],
        keys.WIDTH: [64],
        keys.LABEL_INDEX: [3],
        keys.CAPTION_START: [1_000_000, 2_000_000],
        keys.CAPTION_END: [2_000_000, 3_250_000],
        keys.CAPTION_OWN: [0, 1],
    }
    for key, values in integers.items():
        assert list(context[key].int64_list.value) == values, key
    assert context[keys.LABEL_STRING].bytes_list.value == [b"bird"]
    assert context[keys.CAPTION].bytes_list.value == ["one é".encode(), b"two"]
    assert list(context[keys.FRAME_RATE].float_list.value) == [3.0]
    assert list(context[keys.SAMPLE_RATE].float_list.value) == [16_000.0]
    lists = record.feature_lists.feature_list
    frames = [step.bytes_list.value[0] for step in lists[keys.FRAMES].feature]
    assert frames == [b"jpeg0", b"jpeg1", b"jpeg2"]
    times = [step.int64_list.value[0] for step in lists[keys.FRAME_TIMES].feature]
    assert times == [1_500_000, 1_833_333, 2_166_667]
    (waveform,) = lists[keys.WAVEFORM].feature
    np.testing.assert_array_equal(waveform.float_list.value, media().waveform)


@pytest.mark.parametrize("samples", [0, 1, 31, 32, 5_000, 600_000])
def test_waveform_of_any_length_is_a_valid_message(samples):
    waveform = np.arange(samples, dtype=np.float32)
    clip = shard_writer.ClipMedia([b"x"], 1, 1, waveform)
    record = shard_writer.sequence_example(CLIP, clip, [], {"bird": 0}, 1.0, 1)
    parsed = tf.train.SequenceExample.FromString(record.SerializeToString())
    (step,) = parsed.feature_lists.feature_list[keys.WAVEFORM].feature
    np.testing.assert_array_equal(step.float_list.value, waveform)


def test_what_a_clip_lacks_has_no_key():
    clip = shard_writer.ClipSpan("film", 0, 1_000, 0, "train")
    record = example(clip, waveform=False)
    assert keys.LABEL_INDEX not in record.context.feature
    assert keys.LABEL_STRING not in record.context.feature
    assert keys.SAMPLE_RATE not in record.context.feature
    assert keys.WAVEFORM not in record.feature_lists.feature_list
    with pytest.raises(ValueError, match="neither frames nor audio"):
        shard_writer.sequence_example(clip, shard_writer.ClipMedia([], 1, 1, None), [], {}, 1.0, 1)


def test_sound_alone_and_log_mel():
    clip = shard_writer.ClipSpan("rain", 0, 1_000, 0, "train", given_id="r1")
    sound = shard_writer.ClipMedia([], 0, 0, np.zeros(8, np.float32))
    record = shard_writer.sequence_example(clip, sound, [], {}, 10.0, 8)
    assert keys.HEIGHT not in record.context.feature
    assert keys.FRAMES not in record.feature_lists.feature_list
    assert record.context.feature[keys.EXAMPLE_ID].bytes_list.value == [b"r1"]
    spectrogram = np.arange(6, dtype=np.float32).reshape(3, 2)
    log_mel = shard_writer.ClipMedia([], 0, 0, None, spectrogram, 46.875)
    record = shard_writer.sequence_example(clip, log_mel, [], {}, 10.0, 48_000)
    steps = record.feature_lists.feature_list[keys.LOG_MEL].feature
    np.testing.assert_array_equal([step.float_list.value for step in steps], spectrogram)
    assert list(record.context.feature[keys.LOG_MEL_RATE].float_list.value) == [46.875]
    assert keys.WAVEFORM not in record.feature_lists.feature_list


def test_captions_around():
    captions = [
        Caption(9.0, 11.0, "later"),
        Caption(0.0, 1.0, "ends where the window starts"),
        Caption(0.0, 1.1, "reaches in"),
        Caption(11.0, 12.0, "starts where it ends"),
    ]
    clip = shard_writer.ClipSpan("film", 4_000, 8_000, 0, "train")
    near = shard_writer.captions_around(clip, captions, 3.0)
    assert [caption.text for caption in near] == ["reaches in", "later"]


def test_class_ids_are_sorted():
    assert shard_writer.class_ids(["b", "a", "b", ""]) == {"a": 0, "b": 1}


def test_shards_are_the_same_for_any_order_and_none_is_empty():
    clips = [shard_writer.ClipSpan("film", i, i + 1, 0, "train") for i in range(10)]
    shards = shard_writer.assign_shards(clips, 4)
    assert shards == shard_writer.assign_shards(reversed(clips), 4)
    assert shards != shard_writer.assign_shards(clips, 4, seed=1)
    assert [len(shard) for shard in shards] == [3, 3, 2, 2]
    assert sorted((c for s in shards for c in s), key=lambda c: c.start_ms) == clips
    assert [len(shard) for shard in shard_writer.assign_shards(clips[:2], 4)] == [1, 1]
    assert shard_writer.assign_shards([], 4) == []


@pytest.fixture
def data(tmp_path):
    """A directory with one split of two shards."""
    record = example().SerializeToString()
    entries = [
        shard_writer.write_shard(tmp_path / shard_writer.shard_name("train", index, 2), [record])
        for index in range(2)
    ]
    content = {
        "frame_rate": 3.0,
        "sample_rate": 16_000,
        "short_side": 48,
        "labels": ["bird"],
        "splits": {"train": {"num_examples": 2, "shards": entries}},
        "settings": {},
    }
    manifests.write_manifest(tmp_path, content)
    return tmp_path


def test_shards_and_manifest(data):
    manifest = manifests.read_manifest(data)
    assert manifest["format_version"] == manifests.FORMAT_VERSION
    assert manifest["tool_version"] == version.__version__
    shards = manifest["splits"]["train"]["shards"]
    assert [shard["file"] for shard in shards] == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert [shard["records"] for shard in shards] == [1, 1]
    (record,) = tf.data.TFRecordDataset(str(data / shards[0]["file"]))
    assert tf.train.SequenceExample.FromString(record.numpy()) == example()
    assert {path.name for path in data.iterdir()} == {
        "manifest.json",
        *(shard["file"] for shard in shards),
    }
    manifests.check_shards(data, manifest, checksums=True)


def test_a_shard_s_bytes_are_tensorflow_s_and_its_chunks_have_checksums(tmp_path):
    records = [bytes([n]) * (7 * n) for n in range(37)]
    entry = shard_writer.write_shard(tmp_path / "ours", records)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    content = (tmp_path / "ours").read_bytes()
    assert content == (tmp_path / "theirs").read_bytes()
    borders = [*entry["offsets"], len(content)]
    assert len(borders) == 4
    assert entry["crc32c"] == [
        google_crc32c.value(content[start:end]) for start, end in itertools.pairwise(borders)
    ]
    (shard,) = manifests.listed_shards(tmp_path, {"splits": {"train": {"shards": [entry]}}})
    assert shard.crc32c == tuple(entry["crc32c"])


def test_nothing_is_left_of_a_shard_that_failed(tmp_path):
    def fails():
        yield b"record"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shard_writer.write_shard(tmp_path / "train-00000-of-00001.tfrecord", fails())
    assert list(tmp_path.iterdir()) == []


def test_damaged_shards_are_found(data):
    manifest = manifests.read_manifest(data)
    path = data / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    manifests.check_shards(data, manifest)
    with pytest.raises(ValueError, match="its SHA-256 differs"):
        manifests.check_shards(data, manifest, checksums=True)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="bytes, but the manifest states"):
        manifests.check_shards(data, manifest)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        manifests.check_shards(data, manifest)


def test_manifest_that_can_t_be_read(data):
    path = data / "manifest.json"
    good = json.loads(path.read_text())
    cases = {
        "not JSON": "{",
        "format version is 99": json.dumps({**good, "format_version": 99}),
        "format version is None": "[]",
        "lacks splits": json.dumps({k: v for k, v in good.items() if k != "splits"}),
    }
    for message, content in cases.items():
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            manifests.read_manifest(data)
    path.unlink()
    with pytest.raises(ValueError, match=r"but there are shards; .*records=dmvr"):
        manifests.read_manifest(data)
    with pytest.raises(ValueError, match=r"make it with 'mmv prepare_data'"):
        manifests.read_manifest(data / "nothing")
