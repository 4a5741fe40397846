# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import Reader, augmentation, sampling
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


def test_seeds_differ_and_epochs_differ(reader):
    (first,), (second,) = take(reader.train(seed=0), 1), take(reader.train(seed=1), 1)
    assert not np.array_equal(first["video"], second["video"])
    seen = {}
    for batch in take(reader.train(seed=0), 6):
        for identity, video in zip(batch["example_id"], batch["video"], strict=True):
            seen.setdefault(identity, []).append(video)
    repeated = [videos for videos in seen.values() if len(videos) > 1]
    assert repeated and all(not np.array_equal(v[0], v[1]) for v in repeated)


def test_every_example_once_an_epoch(reader):
    count = reader.num_examples()
    unbatched = reader.train(seed=0).unbatch().take(2 * count)
    identities = [example["example_id"].numpy() for example in unbatched]
    assert len(set(identities[:count])) == count
    assert set(identities[:count]) == set(identities[count:])
    assert identities[:count] != identities[count:]


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


def test_another_frame_rate_is_refused(reader):
    config = reader.config.copy_and_resolve_references()
    config.frame_rate = 3.0
    with pytest.raises(ValueError, match="5 frames a second"):
        Reader(config, reader.tokenizer, reader.log_mel)


def test_an_unknown_split_is_refused(reader):
    config = reader.config.copy_and_resolve_references()
    config.split = "dev"
    with pytest.raises(ValueError, match="no split 'dev'"):
        Reader(config, reader.tokenizer, reader.log_mel).num_examples()


def test_windows_are_spread_evenly_and_random_ones_stay_inside():
    starts = sampling.window_starts(tf.constant(20), span=5, windows=4, seed=None)
    np.testing.assert_array_equal(starts, [0, 5, 10, 15])
    one = sampling.window_starts(tf.constant(20), span=5, windows=1, seed=None)
    np.testing.assert_array_equal(one, [7])
    seed = tf.constant([1, 2])
    drawn = sampling.window_starts(tf.constant(20), span=5, windows=500, seed=seed).numpy()
    assert drawn.min() == 0 and drawn.max() == 15
    short = sampling.window_starts(tf.constant(3), span=5, windows=2, seed=seed)
    np.testing.assert_array_equal(short, [0, 0])
    np.testing.assert_array_equal(
        sampling.frame_indices(tf.constant(1), 4, 2, tf.constant(6)), [1, 3, 5, 5]
    )


def test_candidates_are_the_nearest_in_time():
    starts, ends = tf.constant([0.0, 2.0, 4.0, 9.0]), tf.constant([1.0, 3.0, 5.0, 10.0])
    indices, found = sampling.nearest_candidates(tf.constant(4.0), starts, ends, 3)
    np.testing.assert_array_equal(indices, [2, 1, 0])
    assert found.numpy().all()
    indices, found = sampling.nearest_candidates(tf.constant(0.0), starts[:1], ends[:1], 3)
    np.testing.assert_array_equal(found, [True, False, False])
    _, found = sampling.nearest_candidates(tf.constant(0.0), starts[:0], ends[:0], 2)
    assert not found.numpy().any()


def test_masking_covers_a_band_and_a_stretch_only():
    log_mel = tf.random.stateless_uniform([40, 20, 1], [0, 0]) + 1.0
    masked = augmentation.mask_log_mel(log_mel, tf.constant([3, 4]), share=0.5).numpy()[..., 0]
    changed = masked != log_mel.numpy()[..., 0]
    rows, columns = changed.all(axis=1), changed.all(axis=0)
    np.testing.assert_array_equal(changed, rows[:, None] | columns[None])
    assert rows.sum() <= 20 and columns.sum() <= 10 and changed.any()


def test_a_sound_gets_louder_as_a_whole_and_noisy_in_every_band():
    log_mel = tf.random.stateless_uniform([40, 20, 1], [0, 0])
    louder = augmentation.jitter_log_mel(log_mel, tf.constant([1, 2]), gain=0.5, noise=0.0)
    difference = (louder - log_mel).numpy()
    assert 0 < abs(difference.mean()) <= 0.5
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-6)
    noisy = augmentation.jitter_log_mel(log_mel, tf.constant([1, 2]), gain=0.0, noise=0.3)
    difference = (noisy - log_mel).numpy()
    assert difference.std() == pytest.approx(0.3, rel=0.1)
    assert abs(difference.mean()) < 0.05


def test_dropped_words_become_padding_but_some_word_stays():
    ids = np.tile(np.array([[5, 6, 7, 8, 0, 0], [9, 0, 0, 0, 0, 0]], np.int32), (200, 1, 1))
    dropped = augmentation.drop_words(tf.constant(ids), tf.constant([0, 7]), share=0.4).numpy()
    assert ((dropped == ids) | (dropped == 0)).all()
    assert (dropped != 0).any(axis=-1).all()
    # The share, but for sentences that would be empty: 0.4 ** 4 of the first, all of the second.
    assert 0.3 < (dropped[:, 0, :4] == 0).mean() < 0.45
    np.testing.assert_array_equal(dropped[:, 1], ids[:, 1])


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
