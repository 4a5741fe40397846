# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.data import media
from tests import media_samples
from tests.data.media.samples import numbers, onset


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (22_050, 6)])
def test_waveform(tmp_path, rate, channels):
    path = media_samples.write_film(
        tmp_path / "film.mp4", 3.0, audio_rate=rate, channels=channels, tone_start=1.0
    )
    for start, end in ((0.0, 2.5), (0.7001, 1.9), (1.7, 2.9)):
        waveform = media.read_waveform(path, start, end, 48_000)
        assert waveform.dtype == np.float32
        assert waveform.shape == (round((end - start) * 48_000),)
        expected = media_samples.tone(3.0, 48_000, 1.0)[round(start * 48_000) :][: len(waveform)]
        steady = slice(round(max(0.0, 1.1 - start) * 48_000), len(waveform))
        assert np.abs(waveform[steady] - expected[steady]).max() < 0.05
        before = waveform[: max(0, round((0.95 - start) * 48_000))]
        assert np.abs(before).max(initial=0.0) < 0.02


def test_waveform_beyond_the_end_is_silent(film):
    waveform = media.read_waveform(film, 2.0, 4.0, 16_000)
    assert waveform.shape == (32_000,)
    assert np.abs(waveform[:6_000]).max() > 0.4
    assert not waveform[10_000:].any()


def test_loud_stereo_does_not_exceed_one(tmp_path, monkeypatch):
    loud = lambda seconds, rate, start: np.ones(round(seconds * rate), np.float32)  # noqa: E731
    monkeypatch.setattr(media_samples, "tone", loud)
    path = media_samples.write_film(tmp_path / "film.mp4", 1.0)
    assert np.abs(media.read_waveform(path, 0.0, 1.0)).max() <= 1.0


def test_timestamps_that_start_late_are_no_time_of_the_film(tmp_path):
    path = media_samples.write_film(tmp_path / "film.ts", 2.5, offset=5.0)
    assert media.probe(path).duration == pytest.approx(2.5, abs=0.1)
    frames = dict(numbers(path, 1.05, 1.35, 10, 48))
    # The audio's run-in may begin a little before the first frame.
    assert frames[1.05] in (24, 25)
    waveform = media.read_waveform(path, 0.0, 2.0, 48_000)
    assert onset(waveform, 48_000) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov"])
def test_picture_and_sound_keep_together(tmp_path, suffix):
    # Some containers begin with the audio encoder's run-in and shift all times by it.
    path = media_samples.write_film(tmp_path / f"film.{suffix}", 2.5, tone_start=1.0)
    time = onset(media.read_waveform(path, 0.5, 2.0, 48_000), 48_000) + 0.5
    assert time == pytest.approx(1.0, abs=0.03)
    ((_, before),) = media.iter_frames(path, time - 0.015, time, 10, 48)
    ((_, after),) = media.iter_frames(path, time + 0.015, time + 0.02, 10, 48)
    assert [media_samples.frame_number(jpeg) for jpeg in (before, after)] == [23, 24]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_picture_and_sound_are_aligned(tmp_path, codec):
    path = media_samples.write_film(tmp_path / "film.mp4", 2.5, codec=codec, tone_start=1.25)
    frames = dict(numbers(path, 1.0, 1.5, 8, 48))
    assert frames[1.25] == 30
    assert onset(media.read_waveform(path, 1.0, 2.0, 48_000), 48_000) == pytest.approx(
        0.25, abs=0.003
    )
