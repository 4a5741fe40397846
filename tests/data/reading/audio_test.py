# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.reading import audio


def test_windows_are_cut_and_filled_up_with_zeros():
    values = tf.range(1.0, 11.0)
    found = audio.cut(values, tf.constant([0, 8, -2, 50]), 4).numpy()
    np.testing.assert_array_equal(found, [[1, 2, 3, 4], [9, 10, 0, 0], [0, 0, 1, 2], [0, 0, 0, 0]])


def test_a_window_is_that_of_the_moment():
    waveform = tf.range(1000.0)
    found = audio.cut_waveform(waveform, tf.constant([0.5, 0.0]), 0.2, 100, 100)
    np.testing.assert_array_equal(found, [np.arange(50, 70), np.arange(20)])


@pytest.mark.parametrize(
    ("stored", "rate"), [(44_100, 48_000), (48_000, 16_000), (16_000, 48_000), (48_000, 44_100)]
)
def test_resampling_keeps_tones_and_drops_what_the_new_rate_can_not_hold(stored, rate):
    def tones(at, frequencies):
        times = np.arange(round(1.5 * at)) / at
        return sum(np.sin(2 * np.pi * f * times + f) for f in frequencies).astype(np.float32)

    audible, lost = [440.0, 3000.0, 7000.0], [11_000.0] if rate == 16_000 else []
    # The window is inside the audio, since the filter rings at the ends.
    found = audio.cut_waveform(
        tf.constant(tones(stored, audible + lost)), tf.constant([0.25]), 0.5, stored, rate
    ).numpy()[0]
    expected = tones(rate, audible)[round(0.25 * rate) :][: round(0.5 * rate)]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.1
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.02


def test_resampling_to_the_same_length_changes_next_to_nothing():
    samples = np.random.default_rng(0).normal(size=(2, 101)).astype(np.float32)
    np.testing.assert_allclose(audio.resample(tf.constant(samples), 101), samples, atol=1e-5)


def test_a_loop_begins_again_after_its_period():
    values = tf.constant([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(audio.loop(values, tf.constant(2), 5), [1, 2, 1, 2, 1, 2])
    np.testing.assert_array_equal(audio.loop(values, tf.constant(4), 5), [1, 2, 3, 0] * 2)
    assert audio.loop(values[:0], tf.constant(4), 5).shape == (0,), "no sound is not silence"
    log_mel = tf.reshape(tf.range(6.0), [3, 2])
    found = audio.loop(log_mel, tf.constant(3), 4)
    np.testing.assert_array_equal(found, np.concatenate([log_mel, log_mel]))
