# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import media
from tests import media_samples


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """60 frames in 2.5 s, and a path with a space and an accent."""
    return media_samples.write_film(tmp_path_factory.mktemp("media") / "film é.mp4", 2.5)


def numbers(path, *arguments):
    return [
        (round(time, 4), media_samples.frame_number(jpeg))
        for time, jpeg in media.iter_frames(path, *arguments)
    ]


def onset(waveform, rate):
    """Seconds at which the tone starts."""
    return np.flatnonzero(np.abs(waveform) > 0.1)[0] / rate


def test_probe(film):
    info = media.probe(film)
    assert (info.width, info.height, info.has_audio, info.audio_rate) == (64, 48, True, 44_100)
    assert info.duration == pytest.approx(2.5, abs=0.01)
    assert info.frame_rate == pytest.approx(24.0)


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
    monkeypatch.setattr(media, "_CAN_LEAVE_OUT", ())
    assert few == [jpeg for _, jpeg in media.iter_frames_at(path, times, 48)]


def test_frames_are_left_out(tmp_path):
    path = media_samples.write_film(tmp_path / "film.mp4", 4.0, codec="libx264", gop=96)
    with media._open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        some = list(media._decode(container, stream, lambda start, end: start == 2.0, 0.0))
    assert len(some) < 70
    assert 2.0 in [frame.time for frame in some]


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


def test_timestamps_that_start_late_are_no_time_of_the_film(tmp_path):
    path = media_samples.write_film(tmp_path / "film.ts", 2.5, offset=5.0)
    assert media.probe(path).duration == pytest.approx(2.5, abs=0.1)
    frames = dict(numbers(path, 1.05, 1.35, 10, 48))
    # The sound's run-in may begin a little before the picture.
    assert frames[1.05] in (24, 25)
    waveform = media.read_waveform(path, 0.0, 2.0, 48_000)
    assert onset(waveform, 48_000) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov"])
def test_picture_and_sound_keep_together(tmp_path, suffix):
    # Some containers begin with the sound encoder's run-in and move all times by that.
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


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((64, 48), 24, (24, 32)), ((48, 64), 24, (32, 24)), ((64, 48), 96, (96, 128))],
)
def test_short_side(tmp_path, size, short_side, expected):
    path = media_samples.write_film(tmp_path / "film.mp4", 0.5, size=size)
    ((_, jpeg),) = media.iter_frames(path, 0.2, 0.25, 10, short_side)
    assert media_samples.decode(jpeg).shape == (*expected, 3)


def test_rotation(tmp_path):
    # A player turns it a quarter counter-clockwise: the black upper left comes to the lower left.
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


def test_no_audio(tmp_path):
    path = media_samples.write_film(tmp_path / "film.mp4", 0.5, audio=None)
    assert not media.probe(path).has_audio
    with pytest.raises(media.MediaError, match="no sound stream"):
        media.read_waveform(path, 0.0, 0.5)


def test_sound_alone_is_no_video(film, tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(film)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(media.MediaError, match="no video stream"):
        media.probe(path)
    assert np.abs(media.read_waveform(path, 1.5, 2.0)).max() > 0.4


def test_damage(film, tmp_path):
    content = film.read_bytes()
    cases = {"cut.mp4": content[: len(content) // 2], "text.mp4": b"not a film", "zero.mp4": b""}
    for name, damaged in cases.items():
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(media.MediaError, match="can't be decoded") as raised:
            media.probe(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    with pytest.raises(media.MediaError, match="no such file"):
        media.probe(tmp_path / "none.mp4")
    with pytest.raises(media.MediaError, match="is a folder"):
        media.probe(tmp_path)


def test_film_cut_off_behind_its_index(tmp_path):
    # A transport stream has no index: only decoding shows that the end is missing.
    path = media_samples.write_film(tmp_path / "film.ts", 2.5)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(media.MediaError, match=r"cut off or damaged|can't be decoded"):
        list(media.iter_frames(path, 0.0, 2.5, 10, 48))


def test_what_is_beyond_a_cut_is_not_sought_for_long(tmp_path, monkeypatch):
    path = media_samples.write_film(tmp_path / "film.mkv", 30.0, frame_rate=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    encoded = []
    monkeypatch.setattr(media._FrameEncoder, "encode", lambda *a: encoded.append(a) or b"")
    with pytest.raises(media.MediaError, match=r"no frame found|cut off|can't be decoded"):
        list(media.iter_frames(path, 28.0, 29.0, 4, 24))


def test_frame_times():
    assert media.frame_times(1.0, 1.3, 10) == [1.0, 1.1, 1.2]
    assert len(media.frame_times(0.8, 11.8, 10)) == 110
    assert media.frame_times(1.0, 1.01, 10) == [1.0]


def test_sound_and_images_are_looked_at(film, tmp_path):
    info = media.probe(film, "sound")
    assert (info.width, info.has_audio, info.audio_rate) == (0, True, 44_100)
    assert info.duration == pytest.approx(2.5, abs=0.05)
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "a.png")
    info = media.probe(tmp_path / "a.png", "image")
    assert (info.width, info.height, info.duration) == (40, 30, 0.0)
    with pytest.raises(media.MediaError, match="no image"):
        media.probe(film, "image")


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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_play_lists_are_no_videos(film, tmp_path, suffix):
    """They would read other files, which whoever wrote them need not be allowed to see."""
    lists = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile other.mp4\n",
    }
    (tmp_path / "other.mp4").write_bytes(film.read_bytes())
    for name, text in lists.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_text(text)
        with pytest.raises(media.MediaError, match="can't be decoded"):
            media.probe(path)
