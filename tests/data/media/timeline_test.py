# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Guessed lengths are measured, and missing parts are reported."""

import json

import av
import pytest

from mmv_tf.data import media
from mmv_tf.data.media import timeline as timeline_lib
from tests import clock_samples
from tests.data.media.packets_test import damage


def quiet_then_loud(path, codec, format=None, options=None):
    """20 s of audio of which the first fifth needs few bits: lengths by bit rate are far off."""
    import numpy as np

    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * clock_samples.RATE)
    loud[: len(loud) // 5] = 0.0
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        sound = container.add_stream(codec, rate=clock_samples.RATE, layout="mono")
        sound.bit_rate = 64_000
        if codec == "libmp3lame":
            sound.codec_context.flags |= 2  # A variable rate, by quality.
            sound.codec_context.global_quality = 4 * 118
        container.mux(clock_samples.encoded_sound(sound, loud.astype(np.float32)))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "format", "options"),
    [
        ("radio.aac", "aac", "adts", None),
        ("talk.mp3", "libmp3lame", "mp3", {"write_xing": "0"}),
        ("indexed.m4a", "aac", "ipod", None),
        ("tagged.mp3", "libmp3lame", "mp3", None),
    ],
)
def test_sound(tmp_path, name, codec, format, options):
    path = quiet_then_loud(tmp_path / name, codec, format, options)
    assert media.probe(path, "sound").duration == pytest.approx(20.0, abs=0.06)


def test_sound_that_was_piped(tmp_path):
    """Writers of FLAC to a pipe can't go back to store the length."""
    path = clock_samples.write(tmp_path / "piped.flac", 5.0, video=None, audio="flac")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # METADATA_BLOCK_STREAMINFO (RFC 9639, 8.2): 36 bits of total samples.
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.duration is None
    assert media.probe(path, "sound").duration == pytest.approx(5.0, abs=0.02)
    heard = clock_samples.heard(media.read_waveform(path, 0.0, 5.0, clock_samples.RATE))
    assert [(round(time, 2), k) for time, k in heard] == [(k, k) for k in (1, 2, 3, 4)]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "avi", "flv"])
@pytest.mark.parametrize("sound_seconds", [2.0, 6.0])
def test_a_film_is_as_long_as_its_picture(tmp_path, suffix, sound_seconds):
    codec = "pcm_s16le" if suffix == "avi" else "aac"
    path = clock_samples.write(
        tmp_path / f"film.{suffix}", 4.0, audio=codec, sound_seconds=sound_seconds
    )
    assert media.probe(path).duration == pytest.approx(4.0, abs=0.05)
    assert media.probe(path, "sound").duration == pytest.approx(sound_seconds, abs=0.1)


def test_a_stated_length_is_kept_to_the_last_digit(tmp_path):
    """Intact audio files are cut at the same places as by earlier versions."""
    path = clock_samples.write(tmp_path / "film.mp4", 4.0, sound_seconds=3.001)
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        stated = float(sound.duration * sound.time_base), float(video.duration * video.time_base)
    assert (media.probe(path, "sound").duration, media.probe(path).duration) == stated


@pytest.mark.parametrize("suffix", ["mkv", "avi", "flv"])
def test_a_film_that_was_cut_off(tmp_path, suffix):
    codec = "pcm_s16le" if suffix == "avi" else "aac"
    path = clock_samples.write(tmp_path / f"film.{suffix}", 8.0, audio=codec)
    assert media.probe(path).timeline.missing == 0.0
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    info = media.probe(path)
    assert 2.0 < info.duration < 6.0
    assert info.duration + info.timeline.missing == pytest.approx(8.0, abs=0.2)


def test_it_is_handed_on_as_json(tmp_path):
    film = clock_samples.write(tmp_path / "film.ts", 2.0, format="mpegts")
    path = tmp_path / "joined.ts"
    path.write_bytes(2 * film.read_bytes())
    info = media.probe(path)
    assert len(info.timeline.parts) == 2
    assert media.MediaInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_it_is_measured_once_and_again_when_the_file_changes(tmp_path, monkeypatch):
    measured = []
    original = timeline_lib._measure
    monkeypatch.setattr(
        timeline_lib, "_measure", lambda path: measured.append(path) or original(path)
    )
    path = clock_samples.write(tmp_path / "film.mkv", 2.0)
    assert media.probe(path).duration == pytest.approx(2.0, abs=0.05)
    media.read_waveform(path, 0.0, 1.0)
    assert len(measured) == 1
    clock_samples.write(path, 3.0)
    assert media.probe(path).duration == pytest.approx(3.0, abs=0.05)
    assert len(measured) == 2


def test_pictures_that_are_missing_in_the_middle_are_told(tmp_path):
    film = {"video": "mpeg4", "b_frames": 0}
    path = clock_samples.write(tmp_path / "hole.mkv", 8.0, kept=lambda n: not 80 < n < 140, **film)
    assert media.probe(path).timeline.holes == pytest.approx(59 / 25, abs=0.1)
    path = clock_samples.write(tmp_path / "stills.mkv", 8.0, kept=lambda n: n % 20 < 4, **film)
    assert media.probe(path).timeline.holes == 0.0  # Nothing is regular here.


def test_a_damaged_first_picture_is_told(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 4.0, video="mpeg4", b_frames=0, gop=10)
    assert damage(path, "video", lambda time: time < 0.01) == 1
    timeline = media.probe(path).timeline
    assert timeline.damaged_at_start == 1


def test_times_that_are_not_there(tmp_path):
    path = clock_samples.write(tmp_path / "film.h264", 2.0, audio=None, format="h264")
    with pytest.raises(
        media.MediaError, match="its frames have no timestamps; copy it into another"
    ):
        media.probe(path)


def test_an_index_of_more_than_the_file_holds(tmp_path):
    path = clock_samples.write(tmp_path / "film.mp4", 6.0, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    info = media.probe(path)
    assert 3.0 < info.duration < 5.9
    assert info.duration + info.timeline.missing == pytest.approx(6.0, abs=0.1)


def test_other_tracks_come_first(tmp_path):
    """Other tracks, such as subtitles: PyAV's empty packets at the end claim to be of track 0."""
    path = tmp_path / "film.mkv"
    clock_samples.write(path, 3.0, sounds=2, default=1)
    data = path.read_bytes()
    assert data.count(b"A_AAC") == 2
    path.write_bytes(data.replace(b"A_AAC", b"A_XYZ", 1))
    info = media.probe(path)
    assert info.has_audio and info.timeline.undecodable == ("unknown codec",)
    assert not clock_samples.misplaced(path, (3.0,), spans=[(0.0, 0.9)])
