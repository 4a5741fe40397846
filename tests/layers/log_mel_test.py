# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import LogMel


def waveform(samples, batch=2):
    time = np.arange(samples) / 48_000
    random = np.random.default_rng(0)
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.1 * random.normal(size=(batch, samples))
    return np.clip(tone, -1, 1).astype(np.float32)


@pytest.mark.parametrize("samples", [9_000, 10_240, 1_000])
@pytest.mark.parametrize("compression", ["log1p_10000", "log_1e-6"])
def test_matches_tf_signal(samples, compression):
    x = waveform(samples)
    spectrum = tf.abs(tf.signal.stft(x, 2048, 1024, 2048, pad_end=True))
    filters = tf.signal.linear_to_mel_weight_matrix(80, 1025, 48_000, 80.0, 7600.0)
    mel = tf.matmul(spectrum, filters)
    compress = {
        "log1p_10000": lambda m: tf.math.log(1 + 10_000 * m),
        "log_1e-6": lambda m: tf.math.log(m + 1e-6),
    }[compression]
    outputs = LogMel(compression=compression)(x)
    assert outputs.shape == (2, math.ceil(samples / 1024), 80, 1)
    np.testing.assert_allclose(outputs[..., 0], compress(mel), rtol=1e-4, atol=1e-4)


def test_the_transform_itself_in_numpy():
    x = waveform(5_000, batch=1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    padded = np.pad(x[0].astype(np.float64), (0, 2048))
    frames = np.stack([padded[1024 * i : 1024 * i + 2048] for i in range(5)])
    magnitude = np.abs(np.fft.rfft(frames * window))
    filters = tf.signal.linear_to_mel_weight_matrix(80, 1025, 48_000, 80.0, 7600.0).numpy()
    expected = np.log1p(10_000 * magnitude @ filters)
    np.testing.assert_allclose(LogMel()(x)[0, ..., 0], expected, rtol=1e-4, atol=1e-4)


def test_a_clip_of_the_paper_has_150_frames():
    assert LogMel().compute_output_shape((None, 153_600)) == (None, 150, 80, 1)


def test_silence_is_finite_and_zero():
    np.testing.assert_array_equal(LogMel()(np.zeros([1, 4096], np.float32)), 0.0)


@pytest.mark.parametrize(
    "arguments", [{"compression": "db"}, {"upper_hz": 30_000}, {"lower_hz": 8000, "upper_hz": 7600}]
)
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ValueError, match=r"compression is|mel edges"):
        LogMel(**arguments)
