# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Concatenated files: each piece continues where the previous one ends."""

import pytest

from mmv_tf.data import media
from tests import clock_samples

TS = {"format": "mpegts"}
PS = {"video": "mpeg2video", "audio": "mp2", "format": "mpeg"}
WEBM = {"video": "libvpx", "audio": "libopus"}
SPANS = [(0.0, 0.4), (1.7, 2.4), (2.9, 3.4), (5.2, 5.8)]


def joined(folder, suffix, *films):
    """Concatenate the files of films; each is (seconds, arguments)."""
    pieces = []
    for index, (seconds, film) in enumerate(films):
        piece = clock_samples.write(folder / f"{index}.{suffix}", seconds, **film)
        pieces.append(piece.read_bytes())
    path = folder / f"joined.{suffix}"
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize(
    ("suffix", "film"),
    [
        ("ts", TS),
        ("m2ts", {**TS, "audio": "ac3", "options": {"mpegts_m2ts_mode": "1"}}),
        ("mpg", PS),
        ("vob", {**PS, "format": "vob", "audio": "ac3"}),
        ("mkv", {}),
        ("webm", WEBM),
        ("flv", {}),
        ("mp4", {}),
    ],
)
def test_pieces_follow_each_other(tmp_path, suffix, film):
    path = joined(tmp_path, suffix, (3.0, film), (3.0, film))
    assert not clock_samples.misplaced(path, (3.0, 3.0), spans=SPANS)


@pytest.mark.parametrize("offset", [600.0, 2**33 / 90_000 - 1.0])
@pytest.mark.parametrize("order", [1, -1])
def test_a_clock_that_jumps_either_way(tmp_path, offset, order):
    films = [(3.0, TS), (3.0, {**TS, "offset": offset})][::order]
    path = joined(tmp_path, "ts", *films)
    assert not clock_samples.misplaced(path, (3.0, 3.0), spans=SPANS)


def test_three_pieces_of_other_rates_and_tracks(tmp_path):
    films = [(2.0, {**TS, "frame_rate": 10}), (1.0, {**TS, "audio": None}), (3.0, TS)]
    path = joined(tmp_path, "ts", *films)
    timeline = media.probe(path).timeline
    assert [round(part.length, 2) for part in timeline.parts] == [2.0, 1.0, 3.0]
    assert [part.audio is not None for part in timeline.parts] == [True, False, True]
    sound = media.read_waveform(path, 0.0, 6.0, clock_samples.RATE)
    times = [round(time, 2) for time, _ in clock_samples.heard(sound)]
    assert times == [1.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("suffix", ["opus", "flac"])
def test_sounds(tmp_path, suffix):
    codec = {"opus": "libopus", "flac": "flac"}[suffix]
    sound = (3.0, {"video": None, "audio": codec})
    path = joined(tmp_path, suffix, sound, sound)
    info = media.probe(path, "sound")
    assert info.duration == pytest.approx(6.0, abs=0.05)
    heard = clock_samples.heard(media.read_waveform(path, 0.0, 6.0, clock_samples.RATE))
    assert [(round(time, 1), k) for time, k in heard if k] == [(1, 1), (2, 2), (4, 1), (5, 2)]


def test_a_piece_that_is_damaged_is_told(tmp_path):
    path = joined(tmp_path, "mkv", (2.0, {}), (2.0, {}))
    first = (tmp_path / "0.mkv").stat().st_size
    path.write_bytes(path.read_bytes()[:first] + b"FLV" + bytes(100))
    assert media.probe(path).timeline.unread == 0  # Nothing with the start of a film.
    whole = joined(tmp_path, "mp4", (2.0, {}), (2.0, {}))
    first = (tmp_path / "0.mp4").stat().st_size
    whole.write_bytes(whole.read_bytes()[: first + 200])
    info = media.probe(whole)
    assert info.duration == pytest.approx(2.0, abs=0.1)
    assert info.timeline.unread == 1


def test_a_gap_in_one_track_is_no_join(tmp_path):
    path = clock_samples.write(tmp_path / "gap.ts", 14.0, 5, kept=lambda n: n < 5 or n > 60, **TS)
    (part,) = media.probe(path).timeline.parts
    assert part.length == pytest.approx(14.0, abs=0.3)


def test_few_pictures_a_second_in_another_order_are_no_join(tmp_path):
    path = clock_samples.write(tmp_path / "slow.mkv", 12.0, 1, b_frames=3, gop=12)
    assert len(media.probe(path).timeline.parts) == 1
    assert not clock_samples.misplaced(path, (12.0,), 1.0, spans=[(0.0, 11.5)])


@pytest.mark.parametrize("suffix", ["ts", "webm", "mkv"])
def test_pieces_of_few_pictures_a_second(tmp_path, suffix):
    film = {"audio": None, "gop": 4, **(TS if suffix == "ts" else {})}
    film |= {"video": "libvpx"} if suffix == "webm" else {}
    path = joined(
        tmp_path, suffix, (8.0, film | {"frame_rate": 1}), (8.0, film | {"frame_rate": 1})
    )
    assert media.probe(path).duration == pytest.approx(16.0, abs=0.1)
    assert not clock_samples.misplaced(path, (8.0, 8.0), 1.0, spans=[(0.0, 15.5)])


@pytest.mark.parametrize("suffix", ["ts", "webm"])
def test_short_pieces(tmp_path, suffix):
    film = TS if suffix == "ts" else WEBM
    path = joined(tmp_path, suffix, (0.2, film), (3.0, film), (0.4, film), (0.4, film), (2.0, film))
    lengths = [round(part.length, 1) for part in media.probe(path).timeline.parts]
    assert lengths == [0.2, 3.0, 0.4, 0.4, 2.0]
    assert not clock_samples.misplaced(path, lengths, spans=[(0.0, 5.8)])


def test_a_piece_with_a_sound_that_the_piece_before_has_not(tmp_path):
    path = joined(tmp_path, "webm", (2.0, WEBM | {"audio": None}), (3.0, WEBM))
    info = media.probe(path)
    assert info.has_audio and info.duration == pytest.approx(5.0, abs=0.1)
    heard = clock_samples.heard(media.read_waveform(path, 0.0, 5.0, clock_samples.RATE))
    assert [round(time, 1) for time, _ in heard] == [2.0, 3.0, 4.0]


def test_a_piece_without_the_sound_that_the_piece_before_has(tmp_path):
    for audio in (
        "aac",
        "ac3",
    ):  # A parser returns AC-3's last frame after the start of the next piece.
        path = joined(tmp_path, "ts", (3.0, TS | {"audio": audio}), (3.0, TS | {"audio": None}))
        assert not clock_samples.misplaced(path, (3.0, 3.0), spans=SPANS[:2])
        assert media.probe(path).duration == pytest.approx(6.0, abs=0.1)


def test_sounds_of_several_rates(tmp_path, monkeypatch):
    for suffix, codec in (("flac", "flac"), ("ogg", "flac")):
        pieces = []
        for index, rate in enumerate((48_000, 48_000, 44_100)):
            monkeypatch.setattr(clock_samples, "RATE", rate)
            piece = tmp_path / f"{index}.{suffix}"
            film = {"video": None, "audio": codec, "format": suffix}
            pieces.append(clock_samples.write(piece, 2.0, **film).read_bytes())
        path = tmp_path / f"joined.{suffix}"
        path.write_bytes(b"".join(pieces))
        # Of the last piece, as many samples take longer.
        assert media.probe(path, "sound").duration == pytest.approx(4 + 2 * 480 / 441, abs=0.1)
        assert media.probe(path, "sound").timeline.unread == 0
