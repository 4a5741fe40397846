# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches of clips stored as video are those of JPEGs, up to the codec's error."""

import types

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import Input, Reader, captions
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import stored_video
from mmv_tf.data.records import shard_writer
from mmv_tf.data.stored_clips import clip_encoder
from mmv_tf.data.stored_clips.clip_decoder import StoredClip
from mmv_tf.layers import LogMel
from tests import records, stored_clips

SECONDS, RATE = 6.0, stored_clips.SAMPLE_RATE
LOG_MEL = types.SimpleNamespace(sample_rate=RATE)


def log_mel():
    return LogMel(sample_rate=RATE, upper_hz=3800)


def clock_data(directory, is_video):
    """Clips whose grays and whose sound's loudness encode the time."""
    count = round(SECONDS * records.FRAME_RATE)
    grays = [np.full((24, 31, 3), 8 * (index + 1), np.uint8) for index in range(count)]
    times = np.arange(round(SECONDS * RATE)) / RATE
    waveform = (times / SECONDS * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    payloads = []
    for number in range(6):
        start = 20.0 * number
        said = [captions.Caption(start + n, start + n + 0.9, f"{n}") for n in range(int(SECONDS))]
        span = shard_writer.ClipSpan(
            "film", round(1000 * start), round(1000 * start + 6000), 0, "x"
        )
        if is_video:
            data = stored_clips.video(np.stack(grays), records.FRAME_RATE, crf=4)
            data = clip_encoder.with_sound(data, waveform, RATE)
            encoded = shard_writer.EncodedMedia(data, count, True)
            media = shard_writer.ClipMedia([], 24, 31, None, encoded=encoded)
        else:
            jpegs = [records.jpeg(8 * (index + 1), 24, 31, noise=0) for index in range(count)]
            media = shard_writer.ClipMedia(jpegs, 24, 31, waveform)
        example = shard_writer.sequence_example(span, media, said, {}, records.FRAME_RATE, RATE)
        payloads.append(example.SerializeToString(deterministic=True))
    data = stored_clips.Data(directory, [payloads])
    directory.mkdir()
    data.write()
    if not is_video:
        data.write_manifest(store="jpeg")
    return data


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clocks")
    return {name: clock_data(folder / name, name == "video") for name in ("jpeg", "video")}


def batches(data, training, layer=LOG_MEL, **changes):
    plain = {"colour": 0.0, "scale_jitter": 0.0, "num_frames": 4, "candidates": 2}
    config = data.config(**{**plain, **changes})
    reader = Reader(config, None, layer)
    with reader.explained():
        found = reader.training_examples(7).take(6) if training else None
        if found is None:
            return [{k: v.numpy() for k, v in batch.items()} for batch in reader.evaluate()]
        return [{k: v.numpy() for k, v in one.items()} for one in found]


@pytest.mark.parametrize(
    ("inspect", "short_clips", "num_frames"),
    [
        ("auto", "hold", 4),
        ("never", "hold", 40),
        pytest.param("never", "loop", 40, marks=pytest.mark.slow),
    ],
)
def test_training_windows_are_those_of_jpegs(clocks, inspect, short_clips, num_frames):
    settings = {"inspect": inspect, "short_clips": short_clips, "num_frames": num_frames}
    settings["colour"] = 1.0
    pairs = zip(
        batches(clocks["jpeg"], True, **settings),
        batches(clocks["video"], True, **settings),
        strict=True,
    )
    for jpeg, video in pairs:
        assert jpeg.keys() == video.keys()
        for key in ("example_id", "candidates", "clip_start", "clip_end", "valid/audio"):
            np.testing.assert_array_equal(jpeg[key], video[key])
        np.testing.assert_allclose(jpeg["video"], video["video"], atol=0.02)
        # The same moments: loudness grows by 1 / 6 a second.
        np.testing.assert_allclose(jpeg["waveform"], video["waveform"], atol=0.1)
        if np.abs(jpeg["waveform"]).max() > 0.1:
            assert np.corrcoef(jpeg["waveform"], video["waveform"])[0, 1] > 0.99


@pytest.mark.slow
def test_evaluation_in_both_ways_of_making_pixels(clocks):
    layer = log_mel()
    expected = batches(clocks["jpeg"], False, layer, windows=3)
    for pixels in ("tensorflow", "opencv"):
        found = batches(clocks["video"], False, layer, windows=3, pixels=pixels)
        assert len(found) == len(expected) == 3
        for jpeg, video in zip(expected, found, strict=True):
            assert video["video"].shape == (2, 3, 4, 8, 8, 3)
            np.testing.assert_allclose(jpeg["video"], video["video"], atol=0.02)
            np.testing.assert_array_equal(jpeg["valid/audio"], video["valid/audio"])


def test_windows_are_cut_resized_and_mirrored_like_by_numpy():
    frames = stored_clips.moving(5, 47, 63)
    media = stored_clips.video(frames, crf=2)
    indices, shape = np.array([4, 1, 1], np.int32), np.array([47, 63], np.int32)
    planes = dict(StoredClip.parse(media).frames([1, 4]))

    @tf.function
    def windows(crop, mirrored):
        arguments = map(tf.constant, (media, indices, shape))
        return stored_video.resized_window(
            *arguments, crop, mirrored, tf.constant("x"), 24, Limits()
        )

    for crop in ((0, 0, 47, 63), (5, 7, 30, 33), (6, 8, 20, 20)):
        top, left, height, width = crop
        for mirrored in (False, True):
            found = windows(tf.constant(crop), tf.constant(mirrored)).numpy()
            by_opencv = np.zeros((3, 24, 24, 3), np.uint8)
            stored_video.resize_windows(media, indices, shape, np.array(crop), by_opencv, Limits())
            upright = by_opencv[:, :, ::-1] if mirrored else by_opencv
            # OpenCV rounds Y, U and V to bytes, half of one times 1.2 and 2, and the result.
            np.testing.assert_allclose(found, upright, atol=2.6)
            for place, index in enumerate(indices):
                expected = resized(planes[index], top, left, height, width)
                expected = expected[:, ::-1] if mirrored else expected
                np.testing.assert_allclose(found[place], expected, atol=0.01)
                # And near the frame that was stored, whose colors change every 8 pixels: 5.7.
                stored = plain(frames[index][top : top + height, left : left + width], 24)
                stored = stored[:, ::-1] if mirrored else stored
                assert np.sqrt(np.mean((found[place] - stored) ** 2)) < 7


def plain(image, size):
    """Resize with half-pixel centers and no smoothing."""
    image = image.astype(float)
    for axis in (0, 1):
        length = image.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (place - low).reshape([-1 if n == axis else 1 for n in range(image.ndim)])
        image = (1 - share) * np.take(image, low, axis) + share * np.take(image, high, axis)
    return image


def resized(planes, top, left, height, width):
    """RGB of a window by the formulas of BT.601."""
    y = plain(planes.y[top : top + height, left : left + width], 24)
    rows, columns = (
        slice(top // 2, -(-(top + height) // 2)),
        slice(left // 2, -(-(left + width) // 2)),
    )
    u, v = (plain(plane[rows, columns], 24) - 128 for plane in (planes.u, planes.v))
    y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    rgb = [y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u]
    return np.clip(np.stack(rgb, axis=-1), 0, 255)


def test_audio_is_not_decoded_without_a_log_mel(clocks, monkeypatch):
    def fail(*arguments):
        raise AssertionError("audio was decoded")

    monkeypatch.setattr(StoredClip, "waveform", fail)
    for batch in batches(clocks["video"], False, None):
        assert "audio" not in batch and "waveform" not in batch


@pytest.mark.slow
def test_records_of_audio_alone_have_no_frames(tmp_path):
    data = stored_clips.write(tmp_path / "heard", (2,), frames=False)
    data.add_to_split(num_with_video=0)
    for pixels in ("tensorflow", "opencv"):
        config = data.config(pixels=pixels, inspect="never")
        for batch in Reader(config, None, log_mel()).evaluate():
            assert not batch["valid/video"].numpy().any() and batch["valid/audio"].numpy().all()
            assert not batch["video"].numpy().any()


@pytest.mark.slow
def test_frames_alone_are_silent(tmp_path):
    data = stored_clips.write(tmp_path / "shown", (2,), sound=False)
    for batch in Reader(data.config(), None, log_mel()).evaluate():
        assert batch["valid/video"].numpy().all() and not batch["valid/audio"].numpy().any()


def test_a_resampled_rate(clocks):
    layer = types.SimpleNamespace(sample_rate=6_000)
    settings = {"resample": True, "num_frames": 10}
    jpeg, video = (batches(clocks[name], True, layer, **settings) for name in clocks)
    for one, other in zip(jpeg, video, strict=True):
        np.testing.assert_allclose(one["waveform"], other["waveform"], atol=0.1)


def test_a_service_and_a_mixture_of_stores(clocks, tmp_path):
    config = clocks["video"].config(service="grpc://localhost:1")
    with pytest.raises(ValueError, match="can't call; prepare the data with --store=jpeg"):
        Input(config)
    mixture = tuple(
        {"directory": str(clocks[name].directory), "weight": 1.0} for name in ("jpeg", "video")
    )
    with pytest.raises(ValueError, match=r"some as video; set data\.pixels=tensorflow"):
        Input(clocks["video"].config(mixture=mixture, pixels="opencv", num_frames=4))
    source = Input(clocks["video"].config(mixture=mixture, num_frames=4, batch_size=4))
    batch = next(iter(source.train(seed=0)))
    assert batch["video"].shape == (4, 4, 8, 8, 3)
    assert sorted(batch["source"].numpy()) == [0, 0, 1, 1]


def test_clip_times_that_would_take_all_memory(tmp_path):
    data = stored_clips.write(tmp_path / "data", (2,))

    def endless(example):
        example.context.feature["clip/end/timestamp"].int64_list.value[0] = 2**61

    data.change(0, 1, endless)
    reader = Reader(data.config(inspect="never"), None, log_mel())
    with (
        pytest.raises(Exception, match="9600 samples at 8000 Hz for a clip of"),
        reader.explained(),
    ):
        for _ in reader.evaluate():
            pass
