# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips stored as video come back: the frames wanted, at their times, with sound in step."""

import io

import av
import numpy as np
import pytest

from mmv_tf.data.records import keys
from mmv_tf.data.stored_clips import clip_decoder, clip_encoder, mp4
from mmv_tf.data.stored_clips.clip_decoder import StoredClip, UndecodableError
from tests import stored_clips

FRAMES = 40


@pytest.fixture(scope="module")
def frames():
    return stored_clips.moving(FRAMES)


@pytest.fixture(scope="module")
def waveform():
    return stored_clips.bursts(4.0)


@pytest.fixture(scope="module")
def data(frames, waveform):
    return stored_clips.clip(frames, waveform)


@pytest.fixture(scope="module")
def by_ffmpeg(data):
    """All frames' planes, as FFmpeg decodes the file from its first byte on."""
    with av.open(io.BytesIO(data)) as container:
        return [
            [clip_decoder._pixels(plane).copy() for plane in frame.planes]
            for frame in container.decode(video=0)
        ]


def test_the_same_clip_gives_the_same_bytes_without_names_or_dates(data, frames, waveform):
    assert stored_clips.clip(frames, waveform) == data
    assert b"x264" not in data and b"Lav" not in data
    with av.open(io.BytesIO(data)) as container:
        assert "creation_time" not in container.metadata and "encoder" not in container.metadata


@pytest.mark.slow
def test_no_encoding_in_hundreds_differs():
    """With x264's AVX-512 kernels about one in a hundred did, depending on what memory held."""
    rng = np.random.default_rng(0)
    frames = stored_clips.moving(10, 24, 32)
    expected = stored_clips.video(frames)
    for _ in range(400):
        junk = [rng.bytes(int(2 ** rng.uniform(6, 20))) for _ in range(20)]
        del junk[::2]
        assert stored_clips.video(frames) == expected


@pytest.mark.parametrize("frame_rate", [10.0, 7.3, 29.97, 0.4])
def test_frames_have_the_times_of_the_record_to_the_microsecond(frame_rate):
    count = 5
    stored = stored_clips.video(stored_clips.moving(count), frame_rate)
    track = StoredClip.parse(stored).tracks.video
    expected = [keys.frame_offset(index, frame_rate) for index in range(count)]
    assert track.timescale == 1_000_000 and track.times.tolist() == expected
    with av.open(io.BytesIO(stored)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        assert [int(packet.pts * packet.time_base * 1_000_000) for packet in packets] == expected


@pytest.mark.parametrize("indices", [range(FRAMES), [39], [0], [33, 5, 5, 31, 32], [12, 38]])
def test_frames_are_those_of_the_whole_film(data, by_ffmpeg, indices):
    found = list(StoredClip.parse(data).frames(indices))
    assert [index for index, _ in found] == sorted(set(indices))
    for index, planes in found:
        for plane, expected in zip((planes.y, planes.u, planes.v), by_ffmpeg[index], strict=True):
            np.testing.assert_array_equal(plane, expected)


def test_only_frames_from_the_key_frame_before_are_decoded():
    key_frames = np.array([0, 32, 40])
    assert clip_decoder._runs(key_frames, [3, 5]) == [(0, 5)]
    assert clip_decoder._runs(key_frames, [33]) == [(32, 33)]
    assert clip_decoder._runs(key_frames, [3, 33, 39, 41]) == [(0, 3), (32, 41)]
    assert clip_decoder._runs(key_frames, [31, 32]) == [(0, 32)]


def test_a_window_at_the_end_feeds_the_decoder_that_part_alone(data, monkeypatch):
    fed = []
    feed = StoredClip._fed

    def counted(self, context, track, index):
        fed.append(index)
        return feed(self, context, track, index)

    monkeypatch.setattr(StoredClip, "_fed", counted)
    clip = StoredClip.parse(data)
    assert clip.tracks.video.keys.tolist() == [0, 32]
    assert [index for index, _ in clip.frames([34, 36])] == [34, 36]
    assert fed == [32, 33, 34, 35, 36, None]


@pytest.mark.parametrize("size", [(48, 64), (49, 65), (17, 30)])
def test_frames_are_close_also_with_odd_sides(size):
    frames = stored_clips.moving(6, *size)
    clip = StoredClip.parse(stored_clips.video(frames, crf=12))
    track = clip.tracks.video
    assert (track.height, track.width) == tuple(side + side % 2 for side in size)
    clip.check_size(*size)
    for index, planes in clip.frames(range(6)):
        luma = frames[index] @ np.array([65.481, 128.553, 24.966]) / 255 + 16
        difference = planes.y[: size[0], : size[1]] - luma
        assert np.sqrt(np.mean(difference**2)) < 2  # 42 dB


def test_another_size_than_the_record_says(data):
    with pytest.raises(
        UndecodableError, match="its frames are 64 x 48, but the record states 64 x 50"
    ):
        StoredClip.parse(data).check_size(50, 64)


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000, 8_000])
def test_sound_is_in_step_to_the_sample(rate):
    waveform = stored_clips.bursts(1.5, rate)
    stored = stored_clips.clip(None, waveform, rate)
    found = StoredClip.parse(stored).waveform(len(waveform))
    assert found.dtype == np.float32 and found.shape == waveform.shape
    lags = range(-rate // 100, rate // 100)
    likeness = [np.dot(np.roll(found, -lag), waveform) for lag in lags]
    assert lags[int(np.argmax(likeness))] == 0
    assert np.corrcoef(found, waveform)[0, 1] > 0.97


@pytest.mark.parametrize("rate", [48_000, 16_000])
def test_a_click_is_heard_when_it_was_made(rate):
    waveform = np.zeros(2 * rate, np.float32)
    place = int(1.2345 * rate)
    waveform[place] = 0.9
    found = StoredClip.parse(stored_clips.clip(None, waveform, rate)).waveform(len(waveform))
    assert abs(int(np.argmax(np.abs(found))) - place) <= rate / 8000


@pytest.mark.parametrize("rate", [48_000, 16_000])
@pytest.mark.parametrize("span", [(0.0, 0.01), (0.7, 1.1), (1.45, 1.5), (-1.0, 9.0)])
def test_a_part_of_the_sound_is_the_same_as_in_the_whole(rate, span):
    waveform = stored_clips.bursts(1.5, rate)
    clip = StoredClip.parse(stored_clips.clip(None, waveform, rate))
    whole = clip.waveform(len(waveform))
    start, end = (round(second * rate) for second in span)
    part = clip.waveform(len(waveform), start, end)
    inside = slice(max(0, start), end)
    np.testing.assert_allclose(part[inside], whole[inside], atol=1e-4)
    part[inside] = 0
    assert not part.any()


def test_sound_without_frames_and_frames_without_sound(frames, waveform):
    sound = StoredClip.parse(stored_clips.clip(None, waveform))
    assert sound.num_frames == 0 and sound.tracks.video is None
    with pytest.raises(UndecodableError, match="it has 0 frames"):
        list(sound.frames([0]))
    shown = StoredClip.parse(stored_clips.clip(frames[:3], None))
    assert shown.waveform(100).shape == (0,)


@pytest.mark.parametrize("indices", [[-1], [FRAMES], [0, FRAMES + 5]])
def test_frames_that_are_not_there(data, indices):
    with pytest.raises(UndecodableError, match=f"it has {FRAMES} frames"):
        list(StoredClip.parse(data).frames(indices))


def test_damaged_samples_are_decoded_or_refused_by_name(data):
    rng = np.random.default_rng(0)
    clip = StoredClip.parse(data)
    samples = np.concatenate([clip.tracks.video.starts, clip.tracks.sound.starts])
    refused = 0
    for _ in range(20):
        damaged = bytearray(data)
        start = int(rng.choice(samples)) + 5
        damaged[start : start + 20] = rng.bytes(20)
        broken = StoredClip(bytes(damaged), clip.tracks)
        try:
            assert len(list(broken.frames(range(FRAMES)))) == FRAMES
            assert np.isfinite(broken.waveform(len(stored_clips.bursts(4.0)))).all()
        except UndecodableError:
            refused += 1
    assert refused > 2


def test_frames_larger_than_the_header_says_are_not_decoded(data):
    small = StoredClip.parse(data)
    large = StoredClip.parse(stored_clips.video(stored_clips.moving(2, 256, 256)))
    lying = mp4.Track(**{**vars(large.tracks.video), "width": 16, "height": 16})
    with pytest.raises(UndecodableError, match="can't be decoded"):
        list(StoredClip(large.data, mp4.Mp4(lying, None)).frames([0]))
    assert small.tracks.video.width == 64


def test_a_rate_that_no_codec_has():
    assert 20_000 not in clip_encoder.SAMPLE_RATES
    assert {8_000, 16_000, 44_100, 48_000} < set(clip_encoder.SAMPLE_RATES)
