# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import LogMel, log_mel


def waveform(samples, batch=2):
    time = np.arange(samples) / 48_000
    random = np.random.default_rng(0)
    tone = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.1 * random.normal(size=(batch, samples))
    return np.clip(tone, -1, 1).astype(np.float32)


@pytest.fixture(params=["tensorflow-io", "tf.signal"])
def source(request, monkeypatch):
    """With tensorflow-io's audio functions, and as where it has no wheel."""
    if request.param == "tensorflow-io":
        pytest.importorskip("tensorflow_io", reason="it has no wheel for this Python")
    else:
        hide_tensorflow_io(monkeypatch)
    return request.param


def hide_tensorflow_io(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    log_mel._tfio_audio.cache_clear()
    assert log_mel._tfio_audio() is None


@pytest.fixture(autouse=True)
def _forget():
    """What a test found installed, the next one looks for anew."""
    log_mel._tfio_audio.cache_clear()
    yield
    log_mel._tfio_audio.cache_clear()


# Speech-like and odd: a sample, less than a window, exact multiples, one more, and long; extreme
# and missing values; settings of other models.
@pytest.mark.parametrize("samples", [0, 1, 1_023, 2_048, 2_049, 48_000, 153_600])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sample_rate": 16_000, "window": 400, "step": 160, "mel_bins": 64, "lower_hz": 0.0},
        {"window": 1_023, "step": 2_000, "mel_bins": 7, "compression": "log_1e-6"},
    ],
    ids=["paper", "16_khz", "odd"],
)
def test_without_tensorflow_io_the_numbers_are_the_same(monkeypatch, samples, settings):
    pytest.importorskip("tensorflow_io", reason="it has no wheel for this Python")
    x = np.concatenate([waveform(samples), np.zeros([1, samples]), np.ones([1, samples])])
    x = x.astype(np.float32)
    x[1, ::7] = 1e-30
    layer = LogMel(**settings)
    eager, graph = layer(x).numpy(), tf.function(layer)(x).numpy()
    hide_tensorflow_io(monkeypatch)
    np.testing.assert_allclose(layer(x), eager, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(tf.function(layer)(x), graph, rtol=1e-6, atol=1e-6)


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


def mel_filters(bins, mel_bins, rate, lower, upper):
    """Triangles on HTK's mel scale, [bins, mel_bins]; the constant term has no part."""
    mel = lambda hz: 1127.0 * np.log1p(np.asarray(hz) / 700.0)  # noqa: E731
    edges = np.linspace(mel(lower), mel(upper), mel_bins + 2)
    places = mel(np.linspace(0.0, rate / 2, bins))[:, np.newaxis]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0
    return filters


@pytest.mark.usefixtures("source")
def test_the_transform_itself_in_numpy():
    x = waveform(5_000, batch=1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    padded = np.pad(x[0].astype(np.float64), (0, 2048))
    frames = np.stack([padded[1024 * i : 1024 * i + 2048] for i in range(5)])
    magnitude = np.abs(np.fft.rfft(frames * window))
    filters = mel_filters(1025, 80, 48_000, 80.0, 7600.0)
    expected = np.log1p(10_000 * magnitude @ filters)
    np.testing.assert_allclose(LogMel()(x)[0, ..., 0], expected, rtol=1e-4, atol=2e-4)


def test_a_clip_of_the_paper_has_150_frames():
    assert LogMel().compute_output_shape((None, 153_600)) == (None, 150, 80, 1)


@pytest.mark.usefixtures("source")
def test_silence_is_finite_and_zero():
    np.testing.assert_array_equal(LogMel()(np.zeros([1, 4096], np.float32)), 0.0)


@pytest.mark.parametrize(
    "arguments", [{"compression": "db"}, {"upper_hz": 30_000}, {"lower_hz": 8000, "upper_hz": 7600}]
)
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ValueError, match=r"compression is|mel edges"):
        LogMel(**arguments)
