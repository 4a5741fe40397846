# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import Input, Reader, make_dataset
from mmv_tf.data.reading.settings import PIXELS
from mmv_tf.data.records import keys
from mmv_tf.layers import LogMel, WordTokenizer
from tests import records

LOG_MEL = {"sample_rate": records.SAMPLE_RATE, "window": 64, "step": 32, "mel_bins": 8,
           "lower_hz": 20.0, "upper_hz": 400.0}  # fmt: skip


@pytest.fixture(scope="module")
def log_mel():
    return LogMel(**LOG_MEL)


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer(["words", *map(str, range(16))], max_words=4)


@pytest.fixture(scope="module")
def narrated(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("narrated"), (3, 3, 2))


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """Another data set, without narrations, half of it without audio."""
    data = records.write(tmp_path_factory.mktemp("silent"), (4,), media_id="other")

    def strip(example, sound):
        for key in (keys.CAPTION, keys.CAPTION_START, keys.CAPTION_END):
            del example.context.feature[key]
        if not sound:
            del example.feature_lists.feature_list[keys.WAVEFORM]

    for number in range(4):
        data.change(0, number, lambda example, sound=number % 2: strip(example, sound))
    return data


def mixture(narrated, silent, **settings):
    entries = (
        {"directory": str(narrated.directory), "weight": 3.0},
        {"directory": str(silent.directory), "weight": 1.0},
    )
    return narrated.config(
        mixture=entries, candidates=2, batch_size=4, audio_mask=0.3, shuffle_buffer=4, **settings
    )


def take(dataset, count):
    return [
        {name: value.numpy() for name, value in batch.items()}
        for batch in itertools.islice(dataset, count)
    ]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pixels", [PIXELS[0], *(pytest.param(other, marks=pytest.mark.slow) for other in PIXELS[1:])]
)
def test_a_mixture_has_its_shares_and_masks_and_goes_on_where_it_was(
    narrated, silent, tokenizer, log_mel, pixels
):
    config = mixture(narrated, silent, pixels=pixels)
    dataset = make_dataset(config, tokenizer, log_mel, seed=1)
    iterator = iter(dataset)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    batches = take(iterator, 3)
    saved = checkpoint.write(str(narrated.directory / "iterator"))
    after = take(iterator, 3)
    # An iterator as in another process: created again and restored.
    restored = iter(make_dataset(config, tokenizer, log_mel, seed=1))
    tf.train.Checkpoint(iterator=restored).read(saved)
    for expected, found in zip(after, take(restored, 3), strict=True):
        assert_same(expected, found)
    counted = take(make_dataset(config, tokenizer, log_mel, seed=1, start=12), 3)
    for expected, found in zip(after, counted, strict=True):
        assert_same(expected, found)
    for batch in batches + after:
        np.testing.assert_array_equal(np.bincount(batch["source"]), [3, 1])
        other = batch["source"] == 1
        assert all(i.startswith(b"other") for i in batch["example_id"][other])
        assert not batch["valid/text"][other].any() and not batch["text"][other].any()
        assert batch["valid/text"][~other].all() and batch["valid/audio"][~other].all()
        number = int(batch["example_id"][other][0].split(b"_")[1]) // 2000
        assert bool(batch["valid/audio"][other][0]) == bool(number % 2)
        assert batch["audio"].shape == (4, 10, 8, 1) and batch["video"].dtype == np.float32


def test_a_mixture_says_what_is_wrong_with_its_entries(narrated, silent):
    config = narrated.config(mixture=({"directori": "x"},))
    with pytest.raises(ValueError, match="'directori'"):
        Input(config)
    config = narrated.config(mixture=({"weight": 0.0},))
    with pytest.raises(ValueError, match="must be above 0"):
        Input(config)
    both = Input(mixture(narrated, silent))
    assert both.num_examples() == 12 and both.damage().summary() == "all 12 records are good"
    with pytest.raises(ValueError, match="one by one"):
        both.evaluate()


@pytest.mark.slow
@pytest.mark.parametrize("pixels", PIXELS)
def test_padded_evaluation_gives_workers_as_many_batches(narrated, tokenizer, log_mel, pixels):
    config = narrated.config(batch_size=3, windows=2, pixels=pixels)
    seen = []
    for worker in range(3):
        batches = take(
            make_dataset(
                config, tokenizer, log_mel, training=False, pad=True, worker=worker, workers=3
            ),
            9,
        )
        assert [len(batch["video"]) for batch in batches] == [3]
        (batch,) = batches
        valid = batch["valid/example"]
        assert not batch["valid/video"][~valid].any() and not batch["valid/audio"][~valid].any()
        assert not batch["valid/text"][~valid].any() and not batch["video"][~valid].any()
        assert batch["valid/video"][valid].all()
        seen += batch["example_id"][valid][:, 0].tolist()
    assert len(seen) == len(set(seen)) == 8


@pytest.fixture
def service():
    """The address of a tf.data service of two workers."""
    servers = tf.data.experimental.service
    dispatcher = servers.DispatchServer()
    address = dispatcher.target.split("://")[1]
    workers = [
        servers.WorkerServer(servers.WorkerConfig(dispatcher_address=address)) for _ in range(2)
    ]
    yield dispatcher.target
    # In this order: a worker that waits for a dispatcher that is gone tries for an hour to reach
    # it, and so long its end waits. Left to Python, the order is anyone's guess.
    for worker in workers:
        worker.stop()
    dispatcher.stop()


@pytest.mark.slow
def test_the_service_reads_every_record_of_a_mixture(narrated, silent, tokenizer, log_mel, service):
    config = mixture(narrated, silent, service=service)
    batches = take(make_dataset(config, tokenizer, log_mel, seed=0), 40)
    seen = {}
    for batch in batches:
        np.testing.assert_array_equal(np.bincount(batch["source"]), [3, 1])
        assert batch["text"].shape == (4, 2, 4) and batch["audio"].shape == (4, 10, 8, 1)
        for identity in batch["example_id"]:
            seen[identity] = seen.get(identity, 0) + 1
    # 15 epochs of the first and 10 of the second: all occur, none much more often.
    assert len(seen) == 12 and max(seen.values()) <= 30


def foreign(path, edit):
    """Write a shard with only the features of other tools."""
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for number in range(3):
            example = records.example(number)
            kept = tf.train.SequenceExample()
            for key in (keys.CLIP_START, keys.CLIP_END, keys.LABEL_INDEX):
                kept.context.feature[key].CopyFrom(example.context.feature[key])
            for key in (keys.FRAMES, keys.WAVEFORM):
                kept.feature_lists.feature_list[key].CopyFrom(
                    example.feature_lists.feature_list[key]
                )
            edit(number, kept)
            file.write(kept.SerializeToString())


def foreign_config(path, kind, **settings):
    config = records.Data(path.parent, []).config(records=kind, candidates=2, **settings)
    config.update(stored_frame_rate=records.FRAME_RATE, stored_sample_rate=records.SAMPLE_RATE)
    return config


def test_records_of_dmvr_are_read(tmp_path, tokenizer, log_mel):
    def edit(number, example):
        feature = example.context.feature
        feature[keys.CAPTION].bytes_list.value.append(f"words {number}".encode())
        feature[keys.LABEL_TEXT].bytes_list.value.append(b"running")
        feature["video/filename"].bytes_list.value.append(b"a.mp4")

    path = tmp_path / "shards" / "x.tfrecord"
    foreign(path, edit)
    config = foreign_config(path, "dmvr", batch_size=3)
    (batch,) = take(make_dataset(config, tokenizer, log_mel, training=False), 2)
    assert batch["caption"][:, 0].tolist() == [b"words 0", b"words 1", b"words 2"]
    assert batch["example_id"][:, 0].tolist() == [b"x.tfrecord:%d" % n for n in range(3)]
    assert batch["media_id"][:, 0].tolist() == [b"a.mp4"] * 3
    assert Reader(config, tokenizer, log_mel).first_media_id() == "a.mp4"
    assert batch["label"][:, 0].tolist() == [0, 1, 0] and batch["valid/audio"].all()
    (batch,) = take(make_dataset(config, tokenizer, log_mel), 1)
    np.testing.assert_array_equal(batch["valid/text"], [[True, False]] * 3)


def test_records_of_media_sequence_are_read(tmp_path, tokenizer, log_mel):
    def edit(number, example):
        example.context.feature["example/id"].bytes_list.value.append(b"id%d" % number)
        example.context.feature[keys.LABEL_STRING].bytes_list.value.append(b"running")
        start = 2_000_000 * number
        lists = example.feature_lists.feature_list
        for index in range(3):
            text, time, duration = f"words {index}", start + 400_000 * index, 300_000
            lists["text/content"].feature.add().bytes_list.value.append(text.encode())
            lists["text/timestamp"].feature.add().int64_list.value.append(time)
            lists["text/duration"].feature.add().int64_list.value.append(duration)

    path = tmp_path / "shards" / "x.tfrecord"
    foreign(path, edit)
    config = foreign_config(path, "mediasequence", batch_size=3)
    (batch,) = take(make_dataset(config, tokenizer, log_mel, training=False), 2)
    # The clip's middle is at 0.6 s: the second narration's, 0.4 to 0.7 s.
    assert batch["caption"][:, 0].tolist() == [b"words 1"] * 3
    assert batch["example_id"][:, 0].tolist() == [b"id0", b"id1", b"id2"]
    assert batch["media_id"][:, 0].tolist() == [b""] * 3
    del config.files
    config.files = "nothing*"
    with pytest.raises(ValueError, match="no file matches"):
        make_dataset(config, training=False)


def test_classes_are_found_by_name_under_both_keys(narrated, tmp_path):
    data = records.write(tmp_path / "named", (2,))
    for number, key in enumerate((keys.LABEL_TEXT, keys.LABEL_STRING)):

        def edit(example, key=key):
            for name in (keys.LABEL_INDEX, keys.LABEL_STRING):
                del example.context.feature[name]
            example.context.feature[key].bytes_list.value.append(b"second")

        data.change(0, number, edit)
    (batch,) = take(Reader(data.config(), None, None).evaluate(), 2)
    assert batch["label"][:, 0].tolist() == [1, 1]


def test_other_rates_are_refused_unless_resampled(narrated, tokenizer):
    double = LogMel(**{**LOG_MEL, "sample_rate": 2 * records.SAMPLE_RATE, "upper_hz": 399.0})
    with pytest.raises(ValueError, match="800 samples a second, but the model expects 1600"):
        make_dataset(narrated.config(), tokenizer, double)
    with pytest.raises(ValueError, match="5 frames a second; expected a multiple of 4"):
        make_dataset(narrated.config(frame_rate=4.0))
    config = narrated.config(frame_rate=4.0, resample=True, num_frames=4, batch_size=8)
    resampled = next(iter(make_dataset(config, None, double, training=False)))
    # A second of sound at twice the rate: as many spectra of twice the step.
    assert resampled["audio"].shape == (8, 1, 50, 8, 1)
    # 4 frames at 4 Hz of 6 at 5 Hz: the middle window starts at frame 0; 0, 1.25, 2.5, 3.75.
    every = narrated.config(num_frames=6, batch_size=8)
    whole = next(iter(make_dataset(every, training=False)))["video"].numpy()
    found = resampled["video"].numpy()
    assert found.shape[2] == 4
    np.testing.assert_array_equal(found, whole[:, :, [0, 1, 3, 4]])


def test_a_stored_log_mel_is_taken_as_it_is(tmp_path, log_mel, tokenizer):
    data = records.write(tmp_path / "stored", (2,))
    plain = next(iter(make_dataset(data.config(num_frames=6), None, log_mel, training=False)))

    def store(example):
        lists = example.feature_lists.feature_list
        waveform = np.array(lists[keys.WAVEFORM].feature[0].float_list.value, np.float32)
        del lists[keys.WAVEFORM]
        for spectrum in log_mel(waveform[None]).numpy()[0, :, :, 0]:
            lists[keys.LOG_MEL].feature.add().float_list.value.extend(spectrum)

    for number in range(2):
        data.change(0, number, store)
    data.write_manifest(log_mel=log_mel.get_config())
    stored = next(iter(make_dataset(data.config(num_frames=6), None, log_mel, training=False)))
    np.testing.assert_allclose(stored["audio"], plain["audio"], atol=1e-5)
    other = LogMel(**{**LOG_MEL, "step": 16})
    with pytest.raises(ValueError, match="step 32 instead of 16"):
        make_dataset(data.config(), None, other)


def test_without_tokenizer_and_log_mel_there_is_video_and_the_narration(narrated):
    (batch,) = take(make_dataset(narrated.config()), 1)
    assert "audio" not in batch and "text" not in batch
    assert batch["caption"].shape == (2,) and batch["video"].shape == (2, 2, 8, 8, 3)
