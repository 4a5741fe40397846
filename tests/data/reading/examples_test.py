# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Video, audio and text of an example have the same time."""

import types

import numpy as np
import pytest

from mmv_tf.data import Reader, captions
from mmv_tf.data.records import shard_writer
from mmv_tf.layers import LogMel
from tests import records

SECONDS, GRAY_STEP = 6.0, 8
LOG_MEL = types.SimpleNamespace(sample_rate=records.SAMPLE_RATE)


def clock_data(directory, own=()):
    """Write clips whose grays, samples and narrations each encode the time.

    Args:
      directory: to write to.
      own: numbers of the narrations that describe this clip.
    """
    count = round(SECONDS * records.FRAME_RATE)
    frames = [records.jpeg(GRAY_STEP * index, noise=0) for index in range(count)]
    times = np.arange(round(SECONDS * records.SAMPLE_RATE)) / records.SAMPLE_RATE
    waveform = (times / SECONDS).astype(np.float32)
    payloads = []
    for number in range(8):
        start = 20.0 * number
        said = [
            captions.Caption(start + n, start + n + 0.9, f"{n + 0.45:.2f}")
            for n in range(int(SECONDS))
        ]
        span = shard_writer.ClipSpan(
            "film", round(1000 * start), round(1000 * (start + SECONDS)), 0, "x"
        )
        media = shard_writer.ClipMedia(frames, records.HEIGHT, records.WIDTH, waveform)
        rates = records.FRAME_RATE, records.SAMPLE_RATE
        chosen = [said[index] for index in own]
        example = shard_writer.sequence_example(span, media, said, {}, *rates, chosen)
        payloads.append(example.SerializeToString(deterministic=True))
    data = records.Data(directory, [payloads])
    data.write()
    return data


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return clock_data(tmp_path_factory.mktemp("clock"))


def settings(clock, **changes):
    plain = {"colour": 0.0, "flip": False, "scale_jitter": 0.0, "num_frames": 4, "candidates": 2}
    return clock.config(**(plain | changes))


def moments(example):
    """Return the times of the first frame and sample, and the middles of narrations, in seconds."""
    greys = 255 * example["video"].mean(axis=(-1, -2, -3))
    shown = greys / GRAY_STEP / records.FRAME_RATE
    heard = example["waveform"] * SECONDS
    return shown, heard, example["candidates"].astype(float)


@pytest.mark.parametrize("frame_rate", [records.FRAME_RATE, records.FRAME_RATE / 2])
def test_training_shows_says_and_sounds_of_one_random_moment(clock, frame_rate):
    reader = Reader(settings(clock, frame_rate=frame_rate), None, LOG_MEL)
    seen = set()
    for example in reader.training_examples(seed=0).take(24).as_numpy_iterator():
        shown, heard, said = moments(example)
        np.testing.assert_allclose(np.diff(shown), 1 / frame_rate, atol=0.08)
        assert heard[0] == pytest.approx(shown[0], abs=0.08)
        assert len(heard) == round(4 / frame_rate * records.SAMPLE_RATE)
        assert example["valid/text"].all()
        middle = heard[0] + 4 / frame_rate / 2
        nearest = sorted(np.arange(SECONDS) + 0.45, key=lambda time: abs(time - middle))[:2]
        # Two that are equally near, up to rounding, may change places.
        assert abs(said - middle) == pytest.approx(abs(np.array(nearest) - middle), abs=0.01)
        seen.add(round(heard[0] * records.FRAME_RATE))
    assert len(seen) > 6


def test_evaluation_spreads_windows_and_takes_the_narration_nearest_the_middle(clock):
    reader = Reader(settings(clock, windows=3), None, None)
    (batch, *_) = reader.evaluate()
    assert batch["caption"].numpy()[0, 0] in (b"2.45", b"3.45")
    greys = 255 * batch["video"].numpy()[0].mean(axis=(-1, -2, -3))
    first = np.round(greys[:, 0] / GRAY_STEP).astype(int)
    np.testing.assert_array_equal(first, [0, 13, 26])


def test_evaluation_asks_with_the_clip_s_own_narration(tmp_path):
    """A narration of another clip may be nearer to the middle."""
    for own, right in (((0,), b"0.45"), ((5, 0), b"5.45"), ((1, 4, 5), b"4.45")):
        directory = tmp_path / right.decode()
        directory.mkdir()
        data = clock_data(directory, own)
        (batch, *_) = Reader(settings(data, windows=2), None, None).evaluate()
        assert (batch["caption"].numpy() == right).all()


@pytest.mark.parametrize("frames", [35, 30])  # 30 frames: the clip and no more
def test_short_clips_are_held_or_looped_in_picture_and_sound(clock, frames):
    def example(short_clips):
        config = settings(clock, short_clips=short_clips, num_frames=frames)
        read = Reader(config, None, LOG_MEL).training_examples(seed=0).take(1)
        return moments(next(read.as_numpy_iterator()))

    stored = round(SECONDS * records.FRAME_RATE)
    samples = round(SECONDS * records.SAMPLE_RATE)
    over = round((frames - stored) / records.FRAME_RATE * records.SAMPLE_RATE)
    times = np.arange(frames) / records.FRAME_RATE

    shown, heard, _ = example("hold")
    held = np.minimum(times, times[stored - 1])
    np.testing.assert_allclose(shown, held, atol=0.06)
    assert len(heard) == samples + over
    assert not heard[samples:].any()

    shown, heard, _ = example("loop")
    np.testing.assert_allclose(shown, times % SECONDS, atol=0.06)
    np.testing.assert_allclose(heard, np.arange(len(heard)) % samples / records.SAMPLE_RATE)


def test_looped_sound_is_resampled(clock):
    config = settings(clock, short_clips="loop", resample=True, num_frames=40)
    doubled = types.SimpleNamespace(sample_rate=2 * records.SAMPLE_RATE)
    read = Reader(config, None, doubled).training_examples(seed=0).take(1)
    heard = next(read.as_numpy_iterator())["waveform"] * SECONDS
    times = np.arange(len(heard)) / (2 * records.SAMPLE_RATE)
    assert len(heard) == 8 * 2 * records.SAMPLE_RATE
    # Away from the jumps, around which a resampled saw rings.
    clear = (times % SECONDS > 0.3) & (times % SECONDS < SECONDS - 0.3)
    np.testing.assert_allclose(heard[clear], (times % SECONDS)[clear], atol=0.05)


def test_a_stored_log_mel_is_looped_with_the_pictures(tmp_path):
    settings_of = {"sample_rate": records.SAMPLE_RATE, "window": 64, "step": 32, "mel_bins": 2}
    log_mel = LogMel(**settings_of, lower_hz=20.0, upper_hz=400.0)
    rate = records.SAMPLE_RATE / 32  # 25 frames a second, 15 in the 0.6 s of three pictures
    frames = [records.jpeg(GRAY_STEP * index, noise=0) for index in range(3)]
    stored = np.repeat(np.arange(15, dtype=np.float32)[:, np.newaxis], 2, axis=1)
    media = shard_writer.ClipMedia(frames, records.HEIGHT, records.WIDTH, None, stored, rate)
    span = shard_writer.ClipSpan("film", 0, 600, 0, "x")
    example = shard_writer.sequence_example(
        span, media, [], {}, records.FRAME_RATE, records.SAMPLE_RATE
    )
    data = records.Data(tmp_path, [[example.SerializeToString(deterministic=True)]])
    data.write()
    data.write_manifest(log_mel=log_mel.get_config())
    for short_clips, expected in (("hold", [*range(15), *[0] * 10]), ("loop", np.arange(25) % 15)):
        config = settings(data, short_clips=short_clips, num_frames=5)
        reader = Reader(config, None, log_mel)
        (found,) = reader.training_examples(seed=0).take(1).as_numpy_iterator()
        np.testing.assert_array_equal(found["audio"][:, 0, 0], expected)


def test_an_unknown_way_with_short_clips_is_refused(clock):
    with pytest.raises(
        ValueError, match=r"data\.short_clips is 'freeze'; expected one of hold, loop"
    ):
        Reader(settings(clock, short_clips="freeze"), None, LOG_MEL)
