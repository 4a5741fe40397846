# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.data import media
from mmv_tf.data.media import decoding
from tests import media_samples
from tests.data.media.samples import numbers


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_are_those_at_or_before_the_grid(tmp_path, suffix):
    path = media_samples.write_film(tmp_path / f"film.{suffix}", 2.5)
    # At 10 frames a second from 0.55 on: frame floor(24 * t).
    expected = [(round(0.55 + i / 10, 4), int(24 * (0.55 + i / 10) + 1e-6)) for i in range(12)]
    assert numbers(path, 0.55, 1.75, 10, 48) == expected


def test_b_frames(tmp_path):
    path = media_samples.write_film(tmp_path / "film.mp4", 2.5, codec="libx264", gop=40)
    for start in (0.0, 1.0, 1.5, 2.0):
        assert [n for _, n in numbers(path, start, start + 0.25, 24, 48)] == [
            round(start * 24) + i for i in range(6)
        ]


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx264", "ts"), ("mpeg4", "avi")],
)
def test_frames_that_are_left_out_change_nothing(tmp_path, monkeypatch, codec, suffix):
    path = media_samples.write_film(tmp_path / f"film.{suffix}", 4.0, codec=codec, gop=50)
    times = sorted({n / 7 for n in range(2, 26)} | {1.0, 1.001, 3.9})
    few = [jpeg for _, jpeg in media.iter_frames_at(path, times, 48)]
    monkeypatch.setattr(decoding, "_CAN_LEAVE_OUT", ())
    assert few == [jpeg for _, jpeg in media.iter_frames_at(path, times, 48)]


def test_grid_of_the_video_s_own_rate_has_every_frame(film):
    assert [number for _, number in numbers(film, 0.0, 2.5, 24, 48)] == list(range(60))


def test_last_frame_is_held_but_not_for_long(film):
    assert [n for _, n in numbers(film, 2.3, 2.7, 10, 48)] == [55, 57, 59, 59]
    with pytest.raises(media.MediaError, match=r"ends at 2.50 s, before 3.00 s"):
        numbers(film, 2.3, 3.2, 10, 48)


def test_variable_frame_rate(tmp_path):
    times = [0.0, 0.1, 0.8, 0.85, 1.5]
    path = media_samples.write_film(tmp_path / "film.mkv", 2.0, frame_times=times)
    assert [n for _, n in numbers(path, 0.0, 1.6, 5, 48)] == [0, 1, 1, 1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((64, 48), 24, (24, 32)), ((48, 64), 24, (32, 24)), ((64, 48), 96, (96, 128))],
)
def test_short_side(tmp_path, size, short_side, expected):
    path = media_samples.write_film(tmp_path / "film.mp4", 0.5, size=size)
    ((_, jpeg),) = media.iter_frames(path, 0.2, 0.25, 10, short_side)
    assert media_samples.decode(jpeg).shape == (*expected, 3)


def test_rotation(tmp_path):
    # A player turns it counterclockwise: the black upper left moves to the lower left.
    path = media_samples.write_film(tmp_path / "film.mp4", 0.5, rotation=90)
    info = media.probe(path)
    assert (info.width, info.height) == (48, 64)
    ((_, jpeg),) = media.iter_frames(path, 0.4, 0.45, 10, 48)
    picture = media_samples.decode(jpeg)
    assert picture.shape == (64, 48, 3)
    assert picture[40:, :20].mean() < 8
    assert picture[:24, :20].mean() > 30


def test_quality_changes_the_size(film):
    sizes = [
        len(next(iter(media.iter_frames(film, 1.0, 1.1, 10, 48, quality)))[1])
        for quality in (20, 95)
    ]
    assert sizes[0] < sizes[1]


def test_repeated_frames_are_the_same_bytes(film):
    frames = [jpeg for _, jpeg in media.iter_frames(film, 1.0, 1.1, 100, 48)]
    assert len(frames) == 10
    assert len({id(jpeg) for jpeg in frames}) == 3


def test_film_cut_off_behind_its_index(tmp_path):
    # A transport stream has no index: only decoding shows that the end is missing.
    path = media_samples.write_film(tmp_path / "film.ts", 2.5)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(media.MediaError, match=r"cut off or damaged|can't be decoded"):
        list(media.iter_frames(path, 0.0, 2.5, 10, 48))


def test_frame_times():
    assert media.frame_times(1.0, 1.3, 10) == [1.0, 1.1, 1.2]
    assert len(media.frame_times(0.8, 11.8, 10)) == 110
    assert media.frame_times(1.0, 1.01, 10) == [1.0]


def test_pixels_are_those_of_the_frames(film):
    times = [0.0, 0.25, 0.5, 1.9]
    jpegs = [media_samples.decode(jpeg) for _, jpeg in media.iter_frames_at(film, times, 48, 95)]
    pixels = list(media.iter_pixels_at(film, times, 48))
    assert [time for time, _ in pixels] == times
    for jpeg, (_, frame) in zip(jpegs, pixels, strict=True):
        assert frame.shape == jpeg.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - jpeg).mean() < 2
    _, squeezed = next(media.iter_pixels_at(film, [0.5], 32, square=True))
    assert squeezed.shape == (32, 32, 3)


def test_pixels_may_be_held_for_longer(film):
    end = media.probe(film).duration
    with pytest.raises(media.MediaError, match="ends at"):
        list(media.iter_pixels_at(film, [end + 1.0], 48))
    ((_, held),) = media.iter_pixels_at(film, [end + 1.0], 48, hold_seconds=1.5)
    ((_, last),) = media.iter_pixels_at(film, [end - 0.01], 48)
    np.testing.assert_array_equal(held, last)
