# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import time

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import LogMel, WordTokenizer
from projects import narrated_world
from projects.narrated_world import world as world_lib


def small(**changes):
    config = narrated_world.default_config()
    config.size = 32
    config.num_frames = 4
    config.batch_size = 4
    config.update(changes)
    tokenizer = WordTokenizer(narrated_world.vocabulary(), max_words=8)
    log_mel = LogMel(sample_rate=16_000, window=1024, step=512, mel_bins=20)
    return narrated_world.NarratedWorld(config, tokenizer, log_mel)


@pytest.fixture(scope="module")
def world():
    return small()


def equal(first, second):
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name].numpy(), second[name].numpy(), err_msg=name)


def test_batches_are_what_the_trainer_takes(world):
    batch = next(iter(world.train(seed=0)))
    shapes = {name: (value.dtype.name, tuple(value.shape)) for name, value in batch.items()}
    assert shapes == {
        "video": ("float32", (4, 4, 32, 32, 3)),
        "audio": ("float32", (4, 32, 20, 1)),
        "text": ("int32", (4, 5, 8)),
        "valid/video": ("bool", (4,)),
        "valid/audio": ("bool", (4,)),
        "valid/text": ("bool", (4, 5)),
        "right": ("bool", (4, 5)),
        "label": ("int32", (4,)),
        "example_id": ("string", (4,)),
        **{f"factors/{name}": ("int32", (4,)) for name in narrated_world.CHANCE},
    }
    video = batch["video"].numpy()
    assert video.min() >= 0.0
    assert video.max() <= 1.0
    assert len(set(batch["example_id"].numpy())) == 4


@pytest.mark.slow
def test_a_run_that_goes_on_sees_what_it_would_have_seen(world):
    whole = list(world.train(seed=1).take(3))
    resumed = next(iter(world.train(seed=1, start=8)))
    equal(whole[2], resumed)
    other = next(iter(world.train(seed=2)))
    assert set(other["example_id"].numpy()) != set(whole[0]["example_id"].numpy())


@pytest.mark.slow
def test_a_checkpoint_holds_the_iterator(world, tmp_path):
    iterator = iter(world.train(seed=1))
    next(iterator)
    checkpoint = tf.train.Checkpoint(iterator=iterator)
    path = checkpoint.write(str(tmp_path / "state"))
    expected = next(iterator)
    again = iter(world.train(seed=1))
    tf.train.Checkpoint(iterator=again).read(path)
    equal(expected, next(again))


def test_clips_are_the_same_in_any_order_and_batch(world):
    index = np.array([40, 3, 17, 3])
    batch = world.batch(index)
    for row, number in enumerate(index):
        alone = world.batch(np.array([number]))
        for name in ("video", "text", "valid/text", "example_id", "factors/speed"):
            np.testing.assert_array_equal(alone[name][0].numpy(), batch[name][row].numpy())
        np.testing.assert_allclose(alone["audio"][0], batch["audio"][row], atol=1e-4)
    assert not np.array_equal(small(seed=1).batch(index)["video"], batch["video"])


def test_missing_modalities_are_marked_and_empty():
    for shares, part in (((0.0, 1.0, 0.0), "no_text"), ((0.0, 0.0, 1.0), "audio_only")):
        batch = small(part_shares=shares).batch(np.arange(8))
        assert batch["valid/audio"].numpy().all()
        if part == "no_text":
            assert not batch["valid/text"].numpy().any()
            assert not batch["text"].numpy().any()
            assert not batch["right"].numpy().any()
            assert batch["valid/video"].numpy().all()
        else:
            assert not batch["valid/video"].numpy().any()
            assert not batch["video"].numpy().any()
            assert batch["valid/text"].numpy().all()


def test_what_is_heard_follows_what_is_seen():
    # Of circling discs, the brightest mel bin and the disc's height go up and down together.
    world = small(num_frames=16, frame_rate=8.0)
    coarse = np.tile([0, 5, 2], (6, 1))  # white discs circle
    clips = world.clips(np.arange(6), coarse)
    log_mel = LogMel(sample_rate=16_000, window=1024, step=500, mel_bins=80)(clips.waveform)
    pitch = tf.argmax(log_mel[..., 0], axis=-1).numpy()  # 64 a clip
    bright = clips.video.min(axis=-1).astype(float)
    rows = np.arange(32)[:, np.newaxis]
    for clip in range(6):
        seen = bright[clip] * (bright[clip] > 0.8 * bright[clip].max())
        height = -(seen * rows).sum(axis=(1, 2)) / seen.sum(axis=(1, 2))
        assert np.corrcoef(height, pitch[clip, ::4])[0, 1] > 0.9


def test_given_facts_come_with_one_sentence_that_names_them(world):
    coarse = narrated_world.all_combinations()[::40]
    clips = world.clips(np.arange(len(coarse)), coarse)
    assert [len(row) for row in clips.narrations] == [1] * len(coarse)
    assert clips.right.all()
    np.testing.assert_array_equal(clips.factors()["shape"], coarse[:, 0])


def test_all_combinations_are_there_once():
    combinations = narrated_world.all_combinations()
    assert combinations.shape == (216, 3)
    assert len(np.unique(combinations, axis=0)) == 216


def test_shuffling_keeps_every_number_once():
    positions = np.arange(300)
    shuffled = world_lib.shuffled_positions(0, positions, 100)
    for piece in range(3):
        part = shuffled[piece * 100 : piece * 100 + 100]
        assert sorted(part) == list(range(piece * 100, piece * 100 + 100))
        assert (part != positions[piece * 100 : piece * 100 + 100]).sum() > 90
    np.testing.assert_array_equal(
        world_lib.shuffled_positions(0, positions[150:160], 100), shuffled[150:160]
    )


def test_evaluation_shows_every_clip_once_in_order(world):
    batches = list(world.evaluate(10))
    names = np.concatenate([batch["example_id"].numpy() for batch in batches])
    assert [len(batch["video"]) for batch in batches] == [4, 4, 2]
    assert list(names) == [f"narrated_world_0_{i:09d}".encode() for i in range(10)]


def test_two_hundred_clips_a_second_a_core():
    world = narrated_world.NarratedWorld(narrated_world.default_config())
    assert (world.config.size, world.config.num_frames) == (64, 8)
    index = np.arange(64)
    world.clips(index)
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        world.clips(index)
        best = min(best, time.process_time() - started)
    assert len(index) / best > 200


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="size is 0"):
        small(size=0)
    with pytest.raises(ValueError, match=r"16000 Hz, but the model.s is 48000"):
        narrated_world.NarratedWorld(narrated_world.default_config(), log_mel=LogMel())
