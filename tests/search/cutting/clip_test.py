# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import errno
import fractions
import pathlib

import av
import numpy as np
import pytest

from mmv_tf.data import media
from mmv_tf.data.media import MediaError
from mmv_tf.search.cutting import COPY, EXACT, MOST_SECONDS, clip, cut
from mmv_tf.search.cutting.clip import cut_in_child
from mmv_tf.search.decoder import Decoder
from tests import clock_samples, media_samples

RATE = 24
UNEVEN = [n / 24 + (n % 3) * 0.011 for n in range(96)]
NTSC = [n * 1001 / 60_000 for n in range(240)]
# Kinds of films; all have 4 seconds, of which the tone sounds from 1.5 s on.
FILMS = {
    "h264": ("a.mp4", {"codec": "libx264"}),
    "mpeg4 with few key frames": ("a.mp4", {"gop": 60}),
    "variable frame rate": ("a.mkv", {"codec": "libx264", "frame_times": UNEVEN}),
    "few frames": ("a.mkv", {"codec": "libx264", "frame_times": [0, 0.5, 1.1, 2.9, 3.95]}),
    "rotated": ("a.mp4", {"codec": "libx264", "rotation": 90}),
    "upside down": ("a.mov", {"codec": "libx264", "rotation": 180}),
    "late timestamps": ("a.mkv", {"codec": "libx264", "offset": 7.3}),
    "webm's codec": ("a.mkv", {"codec": "libvpx-vp9", "gop": 20}),
    "hevc": ("a.mp4", {"codec": "libx265"}),
    "silent": ("a.mp4", {"codec": "libx264", "audio": None}),
    "short audio": ("a.mp4", {"codec": "libx264", "sound_seconds": 2.2}),
    "mono at an odd rate": ("a.mkv", {"codec": "libx264", "audio_rate": 22_050, "channels": 1}),
    "surround": ("a.mp4", {"codec": "libx264", "audio_rate": 48_000, "channels": 6}),
    "odd size": ("a.mkv", {"codec": "ffv1", "size": (67, 49)}),
    "59.94": ("a.mp4", {"codec": "libx264", "frame_times": NTSC}),
}  # fmt: skip


def params(kinds, quick):
    """Parameters by name, of which only some are for the quick tests."""
    return [
        pytest.param(name, id=name, marks=() if name in quick else pytest.mark.slow)
        for name in kinds
    ]


def slow(*spans):
    """Parameters for the long tests."""
    return [pytest.param(*span, marks=pytest.mark.slow) for span in spans]


SPANS = [(1.27, 2.93), *slow((0.0, 0.9), (3.1, 9.0))]
QUICK = ("variable frame rate", "rotated", "late timestamps", "silent", "surround", "odd size")


@pytest.fixture(scope="module", params=params(FILMS, QUICK))
def film(request, tmp_path_factory) -> pathlib.Path:
    name, options = FILMS[request.param]
    path = tmp_path_factory.mktemp("film") / name
    return media_samples.write_film(path, 4.0, tone_start=1.5, **options)


def seen(path, times):
    """Mean colors of 8 x 8 blocks of the frames at some times."""
    found = []
    for _, pixels in media.iter_pixels_at(path, times, 48, hold_seconds=0.1):
        height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
        blocks = pixels[:height, :width].reshape(8, height // 8, 8, width // 8, 3)
        found.append(blocks.mean(axis=(1, 3, 4)))
    return np.array(found)


def times_between_frames(path, start, end):
    """The middles of the times for which the frames of a span are on screen."""
    info = media.probe(path)
    origin = info.timeline.parts[0].origin
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = sorted(float(f.pts * stream.time_base) - origin for f in container.decode(stream))
    edges = np.array([start, *(time for time in shown if start < time < end), end])
    return ((edges[1:] + edges[:-1]) / 2)[np.diff(edges) > 0.006].tolist()


def onset(path):
    """When the tone begins, in seconds."""
    wave = media.read_waveform(path, 0.0, media.probe(path, "sound").duration, 48_000)
    return float(np.argmax(np.abs(wave) > 0.2)) / 48_000


def check_same(film, made, start, end):
    """The frames of a clip are those of the film, at the same times."""
    times = times_between_frames(film, start, end)
    assert len(times) > 1
    expected = seen(film, times)
    shown = seen(made, [time - start for time in times])
    assert expected.shape == shown.shape
    worst = np.abs(expected - shown).max(axis=(1, 2))
    assert worst.max() < 8, [round(time, 3) for time in times if worst[times.index(time)] >= 8]


@pytest.mark.parametrize(("start", "end"), SPANS)
def test_an_exact_clip(film, tmp_path, start, end):
    made = tmp_path / "clip.mp4"
    info = media.probe(film)
    times = cut(str(film), start, end, str(made))
    end = min(end, info.duration)
    assert times == clip.Clip(start, end)
    frame = 1 / 24
    cut_info = media.probe(made)
    assert cut_info.duration == pytest.approx(end - start, abs=2e-3)
    assert (cut_info.width % 2, cut_info.height % 2) == (0, 0)
    assert abs(cut_info.width - info.width) <= 1 and abs(cut_info.height - info.height) <= 1
    assert cut_info.has_audio == info.has_audio
    check_same(film, made, start, end)
    if info.has_audio:
        assert cut_info.timeline.sound_end == pytest.approx(end - start, abs=frame)
        if start < 1.5 < end:
            assert onset(made) == pytest.approx(onset(film) - start, abs=5e-3)
    with av.open(str(made)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        first = next(container.decode(container.streams.video[0]))
        assert first.pts == 0 and first.format.name == "yuv420p"


@pytest.mark.parametrize(("start", "end"), SPANS)
def test_a_copied_clip(film, tmp_path, start, end):
    made = tmp_path / "clip.mp4"
    times = cut(str(film), start, end, str(made), COPY)
    info = media.probe(film)
    end = min(end, info.duration)
    assert times.start <= start + 2e-3 and times.end >= end - 0.06
    assert times.start in [pytest.approx(key, abs=2e-3) for key in _key_frames(film, info)]
    check_same(film, made, times.start, min(times.end, end))
    if info.has_audio and times.start < 1.5 < end:
        assert onset(made) == pytest.approx(onset(film) - times.start, abs=1 / RATE)
    assert _codec(made) == _codec(film)


def _codec(path):
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.codec.canonical_name


def _key_frames(path, info):
    origin = info.timeline.parts[0].origin
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            float(packet.pts * stream.time_base) - origin
            for packet in container.demux(stream)
            if packet.is_keyframe and packet.pts is not None
        ]


TS = {"format": "mpegts"}
PS = {"video": "mpeg2video", "audio": "mp2", "format": "mpeg"}
WRAP = 2**33 / 90_000
# Films of 4 seconds by `clock_samples`, and whether MP4 can hold copies of their packets.
CLOCKS = {
    "b-frames.mp4": ({}, True),
    "fragments.mp4": ({"options": {"movflags": "frag_keyframe+empty_moov"}}, True),
    "delayed audio.mp4": ({"audio_delay": 0.7}, True),
    "pcm.mov": ({"video": "mjpeg", "audio": "pcm_s16le"}, True),
    "flac.mkv": ({"video": "mpeg2video", "audio": "flac"}, True),
    "by wall clock.mkv": ({"offset": 1.7e9}, True),
    "plain.webm": ({"video": "libvpx", "audio": "libopus"}, False),
    "plain.flv": ({}, True),
    "later.ts": ({**TS, "offset": 600.0}, True),
    "wraps.ts": ({**TS, "offset": WRAP - 2.0}, True),
    "long group.ts": ({**TS, "gop": 100, "offset": WRAP - 1.0}, True),
    "blu-ray.m2ts": ({**TS, "audio": "ac3", "options": {"mpegts_m2ts_mode": "1"}}, True),
    "plain.mpg": (PS, False),
    "b-frames.avi": ({"video": "mpeg4", "audio": "pcm_s16le"}, False),
    "plain.avi": ({"video": "mpeg4", "audio": "pcm_s16le", "b_frames": 0}, False),
}


CLOCK_SPANS = [(0.48, 2.4), *slow((1.72, 3.28), (0.0, 1.2))]
QUICK_CLOCKS = ("b-frames.mp4", "delayed audio.mp4", "wraps.ts", "plain.mpg")


@pytest.fixture(scope="module", params=params(CLOCKS, QUICK_CLOCKS))
def clock(request, tmp_path_factory):
    options, copied = CLOCKS[request.param]
    path = tmp_path_factory.mktemp("clock") / request.param
    return clock_samples.write(path, **options), copied, options.get("audio_delay", 0.0)


def told(path, end):
    """Numbers of the pictures of a clip, taken in their middles, and its whole clicks."""
    times = [(n + 0.5) / 25 for n in range(round(end * 25))]
    numbers = [clock_samples.number(pixels) for _, pixels in media.iter_pixels_at(path, times, 64)]
    return numbers, clock_samples.heard(media.read_waveform(path, 0.0, end))


def check_clock(made, start, end, delay):
    """The pictures are those of the span; each click is where it was."""
    numbers, clicks = told(made, end - start)
    expected = [int((start + (n + 0.5) / 25) * 25 + 1e-6) for n in range(len(numbers))]
    assert len(numbers) > 10
    assert numbers == expected
    for second in range(4):
        if start < second + delay < end - 0.1:
            # The first samples after a cut may not be whole.
            at = [time for time, number in clicks if number == second and time > 0.05]
            assert at == [pytest.approx(second + delay - start, abs=1 / 100)], second


@pytest.mark.parametrize(("start", "end"), CLOCK_SPANS)
def test_an_exact_clip_tells_the_time(clock, tmp_path, start, end):
    film, _, delay = clock
    cut(str(film), start, end, str(tmp_path / "clip.mp4"))
    check_clock(tmp_path / "clip.mp4", start, end, delay)


@pytest.mark.parametrize(("start", "end"), CLOCK_SPANS)
def test_a_copied_clip_tells_the_time(clock, tmp_path, start, end):
    film, copied, delay = clock
    made = tmp_path / "clip.mp4"
    if not copied:
        with pytest.raises(MediaError, match="mode exact"):
            cut(str(film), start, end, str(made), COPY)
        return
    times = cut(str(film), start, end, str(made), COPY)
    assert times.start <= start and times.end >= end - 1e-3
    check_clock(made, times.start, end, delay)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_copied_hevc_has_the_name_that_all_players_know(tmp_path, name):
    film = media_samples.write_film(tmp_path / name, 2.0, codec="libx265", size=(96, 64))
    times = cut(str(film), 0.5, 1.5, str(tmp_path / "clip.mp4"), COPY)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.codec_tag) == ("hevc", "hvc1")
    check_same(film, tmp_path / "clip.mp4", times.start, min(times.end, 1.5))


def test_joined_files(tmp_path):
    parts = [clock_samples.write(tmp_path / f"{n}.ts", 2.0, **TS) for n in range(2)]
    film = tmp_path / "joined.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    timeline = media.probe(film).timeline
    assert len(timeline.parts) == 2
    second = timeline.parts[1].start
    cut(str(film), 1.4, 3.2, str(tmp_path / "clip.mp4"))
    numbers, clicks = told(tmp_path / "clip.mp4", 1.8)
    before = numbers[: round((second - 1.4) * 25)]
    assert before == list(range(35, 35 + len(before)))
    assert numbers[-10:] == list(range(numbers[-10], numbers[-10] + 10)) and numbers[-1] < 45
    assert [number for _, number in clicks] == [0, 1]
    assert clicks[1][0] == pytest.approx(second + 1 - 1.4, abs=0.02)


def test_non_square_pixels_become_square(tmp_path):
    film = tmp_path / "wide.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = fractions.Fraction(4, 3)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cut(str(film), 0.1, 0.8, str(tmp_path / "clip.mp4"))
    info = media.probe(tmp_path / "clip.mp4")
    assert (info.width, info.height) == (86, 48) or (info.width, info.height) == (84, 48)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.width == info.width


@pytest.fixture
def plain(tmp_path) -> pathlib.Path:
    return media_samples.write_film(tmp_path / "plain.mp4", 2.0, codec="libx264")


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (1.0, 1.0, "expected a start of 0 or more"),
        (1.0, 0.5, "expected a start of 0 or more"),
        (-1.0, 0.5, "expected a start of 0 or more"),
        (float("nan"), 0.5, "expected a start of 0 or more"),
        (0.0, float("nan"), "expected a start of 0 or more"),
        (0.0, MOST_SECONDS + 1, "at most 600 s"),
        (5.0, 6.0, "the video ends at 2.00 s"),
    ],
)
def test_wrong_times(plain, tmp_path, start, end, message):
    with pytest.raises(ValueError, match=message):
        cut(str(plain), start, end, str(tmp_path / "clip.mp4"))


def test_a_wrong_mode(plain, tmp_path):
    with pytest.raises(ValueError, match="expected copy or exact"):
        cut(str(plain), 0.0, 1.0, str(tmp_path / "clip.mp4"), "fast")


@pytest.mark.parametrize("mode", [COPY, EXACT])
def test_films_that_can_not_be_cut(tmp_path, mode):
    with pytest.raises(MediaError, match="no such file"):
        cut(str(tmp_path / "gone.mp4"), 0.0, 1.0, str(tmp_path / "clip.mp4"), mode)
    (tmp_path / "damaged.mp4").write_bytes(b"no film" * 99)
    with pytest.raises(MediaError, match=r"damaged\.mp4"):
        cut(str(tmp_path / "damaged.mp4"), 0.0, 1.0, str(tmp_path / "clip.mp4"), mode)
    sound = media_samples.write_wav(tmp_path / "a.wav", media_samples.tone(1.0, 16_000, 0.0))
    with pytest.raises(MediaError, match="no video stream"):
        cut(str(sound), 0.0, 1.0, str(tmp_path / "clip.mp4"), mode)


@pytest.mark.parametrize("mode", [COPY, EXACT])
def test_a_full_disk(plain, mode):
    with pytest.raises(OSError, match="No space left") as error:
        cut(str(plain), 0.0, 2.0, "/dev/full", mode)
    assert error.value.errno == errno.ENOSPC


def test_a_key_frame_far_before(tmp_path, monkeypatch):
    film = media_samples.write_film(tmp_path / "a.mp4", 4.0, gop=200)
    monkeypatch.setattr("mmv_tf.search.cutting.copying._MOST_BEFORE", 2.0)
    with pytest.raises(MediaError, match=r"key frame before 3.5 s is at 0\.00 s"):
        cut(str(film), 3.5, 3.9, str(tmp_path / "clip.mp4"), COPY)


class Here:
    """Decodes in this process."""

    def call(self, function, name, *arguments):
        return function(*arguments)


def test_errors_come_out_of_the_child_as_they_are(plain, tmp_path):
    made = cut_in_child(Here(), str(plain), 0.5, 1.0, str(tmp_path / "clip.mp4"))
    assert made == clip.Clip(0.5, 1.0)
    with pytest.raises(OSError, match="No space left") as error:
        cut_in_child(Here(), str(plain), 0.5, 1.0, "/dev/full")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="at most 600 s"):
        cut_in_child(Here(), str(plain), 0.5, 1e6, "/dev/full")


@pytest.mark.slow
def test_in_a_child(plain, tmp_path):
    decoder = Decoder(60.0, processes=1)
    try:
        with pytest.raises(OSError, match="No space left"):
            cut_in_child(decoder, str(plain), 0.5, 1.0, "/dev/full")
        made = tmp_path / "clip.mp4"
        assert cut_in_child(decoder, str(plain), 0.5, 1.0, str(made)) == clip.Clip(0.5, 1.0)
        assert media.probe(made).duration == pytest.approx(0.5, abs=2e-3)
    finally:
        decoder.close()
