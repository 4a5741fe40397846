# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Frames, audio and length of films agree, whatever times the container states.

Each film's frames show their numbers and its audio clicks at whole seconds: they must be within one
frame and 15 ms of their right times, from the start of the film and after seeks.
"""

import fractions
import itertools

import pytest

from tests import clock_samples

NTSC = fractions.Fraction(30_000, 1_001)
WRAP = 2**33 / 90_000


def irregular(number):
    return number % 10 < 4 or number % 10 >= 8


TS = {"format": "mpegts"}
PS = {"video": "mpeg2video", "audio": "mp2", "format": "mpeg"}
WEBM = {"video": "libvpx", "audio": "libopus"}
FILMS = {
    "plain.mp4": {},
    "hevc.mp4": {"video": "libx265"},
    "old.mp4": {"video": "mpeg4", "audio": "libmp3lame"},
    "fragments.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "pcm.mov": {"video": "mjpeg", "audio": "pcm_s16le"},
    "phone.3gp": {},
    "plain.mkv": {},
    "flac.mkv": {"video": "mpeg2video", "audio": "flac"},
    "plain.webm": WEBM,
    "recorder.webm": {**WEBM, "options": {"live": "1"}},
    "plain.flv": {},
    "plain.ts": TS,
    "mpeg2.ts": {**TS, "video": "mpeg2video", "audio": "mp2"},
    "blu-ray.m2ts": {**TS, "audio": "ac3", "options": {"mpegts_m2ts_mode": "1"}},
    "plain.mpg": PS,
    "dvd.vob": {"video": "mpeg2video", "audio": "ac3", "format": "vob"},
    "plain.avi": {"video": "mpeg4", "audio": "pcm_s16le", "b_frames": 0},
    "b-frames.avi": {"video": "mpeg4", "audio": "pcm_s16le"},
    "x264.avi": {"audio": "pcm_s16le"},
    "dashcam.avi": {"audio": "pcm_s16le", "b_frames": 0},
    "mjpeg.avi": {"video": "mjpeg", "audio": "pcm_s16le"},
    "later.mkv": {"offset": 600.0},
    "by wall clock.mkv": {"offset": 1.7e9},
    "later.ts": {**TS, "offset": 600.0},
    "later.flv": {"offset": 600.0},
    "wraps after the start.ts": {**TS, "offset": WRAP - 2.0},
    "wraps at the start.ts": {**TS, "offset": WRAP - 0.01},
    "wraps.mpg": {**PS, "offset": WRAP - 2.0},
    "long group.ts": {**TS, "gop": 100, "offset": WRAP - 1.0},
}


@pytest.mark.parametrize("name", FILMS)
def test_film(tmp_path, name):
    path = clock_samples.write(tmp_path / name, **FILMS[name])
    assert not clock_samples.misplaced(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "mpg"])
@pytest.mark.parametrize("track", ["video", "audio"])
def test_a_track_that_starts_late(tmp_path, suffix, track):
    own = PS if suffix == "mpg" else {}
    path = clock_samples.write(tmp_path / f"film.{suffix}", **{f"{track}_delay": 0.48}, **own)
    lag = 0.48 if track == "audio" else -0.48
    assert not clock_samples.misplaced(path, lag=lag)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
def test_frame_rates(tmp_path, name):
    path = clock_samples.write(tmp_path / f"ntsc {name}", frame_rate=NTSC)
    assert not clock_samples.misplaced(path, frame_rate=float(NTSC))
    path = clock_samples.write(tmp_path / f"slow {name}", frame_rate=5)
    assert not clock_samples.misplaced(path, frame_rate=5.0)
    path = clock_samples.write(tmp_path / f"irregular {name}", kept=irregular)
    assert not clock_samples.misplaced(path, kept=irregular, frames=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "offset"),
    list(
        itertools.product(["mp4", "mov", "mkv", "ts", "flv", "mpg"], [0.0, 0.32, 600.0, WRAP - 3.7])
    ),
)
def test_grid(tmp_path, suffix, offset):
    if offset > 1e4 and suffix not in ("ts", "mpg"):
        pytest.skip("only MPEG's clocks wrap")
    own = PS if suffix == "mpg" else {}
    spans = [(t / 10, t / 10 + 0.4) for t in range(0, 56, 4)]
    rates = [25, NTSC] if suffix == "mpg" else [25, NTSC, 12]
    variable = [False] if suffix == "mpg" else [False, True]
    for rate, lag, gop, is_variable in itertools.product(
        rates, [-0.2, 0.0, 0.2], [12, 75], variable
    ):
        kept = irregular if is_variable else lambda number: True
        film = {"seconds": 6.0, "frame_rate": rate, "gop": gop, "offset": offset, "kept": kept}
        delay = {"audio_delay" if lag > 0 else "video_delay": abs(lag)}
        path = clock_samples.write(tmp_path / f"film.{suffix}", **film, **delay, **own)
        wrong = clock_samples.misplaced(
            path, (6.0,), float(rate), lag, kept, spans, frames=6.0 if is_variable else 1.0
        )
        assert not wrong, (rate, lag, gop, is_variable)


def test_packed_b_frames(tmp_path):
    """XviD's AVI has a P and a B frame in one chunk, then an empty one, as in UCF101 and HMDB51."""
    path = clock_samples.write_packed_avi(tmp_path / "packed.avi")
    assert not clock_samples.misplaced(path)
    assert not clock_samples.misplaced(path, spans=[(t / 10, t / 10 + 0.3) for t in range(0, 36)])


def test_avi_without_b_frames_and_few_pictures_a_second(tmp_path):
    """FFmpeg guesses each frame one frame late."""
    path = clock_samples.write(tmp_path / "slow.avi", 6.0, 5, audio="pcm_s16le", b_frames=0)
    assert not clock_samples.misplaced(path, (6.0,), 5.0, spans=[(0.0, 5.8), (3.1, 4.2)])
