# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from mmv_tf.data import Reader
from tests import small_world


@pytest.fixture
def reader(prepared, tiny_model):
    return Reader(small_world.data_config(prepared), tiny_model.tokenizer, tiny_model.log_mel)


def take(dataset, count):
    return [
        {name: value.numpy() for name, value in batch.items()}
        for batch in itertools.islice(dataset, count)
    ]


def test_batches_have_the_shapes_that_the_trainer_takes(reader):
    (batch,) = take(reader.train(seed=0), 1)
    # 4 frames at 5 a second are 0.8 s, 38,400 samples, ceil(38,400 / 1024) spectra.
    assert batch["video"].shape == (4, 4, 32, 32, 3)
    assert batch["audio"].shape == (4, 38, 80, 1)
    assert batch["text"].shape == (4, 2, 6)
    assert batch["video"].min() >= 0 and batch["video"].max() <= 1
    assert batch["valid/video"].all() and batch["valid/audio"].all()
    assert batch["valid/text"][:, 0].all()
    assert set(batch["label"]) <= {0, 1}


def test_a_run_goes_on_at_the_very_example(reader):
    whole = take(reader.train(seed=3), 5)
    rest = take(reader.train(seed=3, start=8), 3)
    for expected, found in zip(whole[2:], rest, strict=True):
        for name in expected:
            np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


@pytest.mark.slow
def test_seeds_differ_and_epochs_differ(reader):
    (first,), (second,) = take(reader.train(seed=0), 1), take(reader.train(seed=1), 1)
    assert not np.array_equal(first["video"], second["video"])
    seen = {}
    for batch in take(reader.train(seed=0), 6):
        for identity, video in zip(batch["example_id"], batch["video"], strict=True):
            seen.setdefault(identity, []).append(video)
    repeated = [videos for videos in seen.values() if len(videos) > 1]
    assert repeated and all(not np.array_equal(v[0], v[1]) for v in repeated)


def test_evaluation_drops_nothing_and_is_the_same_twice(reader):
    batches = take(reader.evaluate(), 99)
    identities = [identity for batch in batches for identity in batch["example_id"][:, 0]]
    assert len(identities) == len(set(identities)) == reader.num_examples()
    for first, second in zip(batches, take(reader.evaluate(), 99), strict=True):
        np.testing.assert_array_equal(first["video"], second["video"])


def test_a_clip_is_paired_with_its_own_narration(reader):
    for batch in take(reader.evaluate(), 99):
        for start, end, caption in zip(
            batch["clip_start"][:, 0], batch["clip_end"][:, 0], batch["caption"][:, 0], strict=True
        ):
            number = int(((start + end) / 2) // 2)  # a narration every two seconds
            words = small_world.WORDS
            assert caption.decode() == f"the {words[number % 4]} {words[4 + number % 8]}"


@pytest.mark.slow
def test_the_reader_jitters_sounds_and_drops_words_in_training_only(prepared, tiny_model):
    config = small_world.data_config(prepared).copy_and_resolve_references()
    config.unlock()
    config.update(audio_gain=0.5, audio_noise=0.3, word_dropout=0.5)
    model = (tiny_model.tokenizer, tiny_model.log_mel)
    plain, jittered = Reader(small_world.data_config(prepared), *model), Reader(config, *model)
    (before,), (after,) = take(plain.train(seed=0), 1), take(jittered.train(seed=0), 1)
    np.testing.assert_array_equal(before["video"], after["video"])
    assert np.abs(before["audio"] - after["audio"]).std() > 0.1
    assert (after["text"] == 0).sum() > (before["text"] == 0).sum()
    np.testing.assert_array_equal(before["valid/text"], after["valid/text"])
    (before,), (after,) = take(plain.evaluate(), 1), take(jittered.evaluate(), 1)
    for name in ("video", "audio", "text"):
        np.testing.assert_array_equal(before[name], after[name])
