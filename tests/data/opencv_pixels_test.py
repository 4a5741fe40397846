# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The same pixels as TensorFlow's, to within what it costs to calculate with bytes."""

import collections
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import DamagedDataError, Input, Reader, augmentation, opencv_pixels
from tests import records
from tests.data.damage_test import EDITS, LIMITS, set_frame

HEIGHT, WIDTH, SIZE = 48, 64, 40
# Of 255: half a byte of rounding, and what OpenCV's fixed-point numbers add (0.76 was seen).
RESIZED = 0.8
# Likewise of a change of colours, whose matrix has ten bits behind the point.
ROUNDED = 0.8


def bilinear(window, size):
    """Half-pixel centres, no smoothing, one row and column after the other."""
    for axis in (0, 1):
        length = window.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (place - low).reshape([-1 if n == axis else 1 for n in range(3)])
        window = (1 - share) * np.take(window, low, axis) + share * np.take(window, high, axis)
    return window


def expected_clip(jpegs, crop, mirrored, colour):
    """In float64, never rounded; in [0, 255]."""
    top, left, height, width = crop
    whole = [tf.io.decode_jpeg(jpeg, channels=3).numpy().astype(float) for jpeg in jpegs]
    clip = np.stack([bilinear(one[top : top + height, left : left + width], SIZE) for one in whole])
    clip = clip[:, :, ::-1] if mirrored else clip
    turn, brightness, contrast = colour[:, :3], colour[0, 3], colour[0, 4]
    brighter = clip + 255 * brightness
    mean = brighter[:, ::8, ::8].mean(axis=(0, 1, 2))
    mixed = contrast * brighter + (1 - contrast) * mean
    return np.clip(mixed @ turn.T, 0, 255)


def colour_of(seed):
    return augmentation.colour_change(tf.constant([3, seed])).numpy()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("crop", [(5, 7, 40, 37), (0, 0, 48, 64), (20, 30, 11, 9)])
@pytest.mark.parametrize("seed", [None, 1, 3, 5])
def test_a_clip_is_cut_resized_mirrored_and_recoloured(mirrored, crop, seed):
    jpegs = [records.jpeg(40 + 50 * n, HEIGHT, WIDTH, noise=35) for n in range(4)]
    colour = augmentation.NO_COLOUR_CHANGE if seed is None else colour_of(seed)
    found = np.full((4, SIZE, SIZE, 3), np.nan, np.float32)
    shape = np.array([HEIGHT, WIDTH], np.int32)
    plan = np.array(jpegs, object), shape, np.array(crop, np.int32), mirrored, colour
    opencv_pixels.clip_pixels(*plan, found)
    assert found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(255 * found, np.round(255 * found), atol=1e-4)
    expected = expected_clip(jpegs, crop, mirrored, colour)
    difference = np.abs(255 * found - expected).max(axis=(0, 1, 2))
    # What a byte is wrong by is multiplied by the change of colours, and the result is rounded.
    gain = np.abs(colour[0, 4] * colour[:, :3]).sum(axis=1)
    bound = RESIZED if seed is None else RESIZED * gain + ROUNDED
    assert (difference <= bound).all(), (difference, bound)


def both(data, **settings):
    """The same batches with either way of making pixels."""
    found = []
    for pixels in ("tensorflow", "opencv"):
        reader = Reader(data.config(pixels=pixels, size=SIZE, **settings), None, None)
        found.append(list(reader.train(seed=5).take(6)) + list(reader.evaluate()))
    return zip(*found, strict=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Large enough for the borders to be few."""
    data = records.write(tmp_path_factory.mktemp("data"))
    for shard in (0, 1):
        for number in range(4):
            value = 40 + 20 * number + 70 * shard
            jpegs = [records.jpeg(value + n, 96, 128, noise=30) for n in range(records.FRAMES)]
            for index, jpeg in enumerate(jpegs):
                data.change(shard, number, set_frame(jpeg, index))
    return data


@pytest.mark.parametrize(
    ("settings", "bound"),
    [
        ({"colour": 0.0, "flip": False}, RESIZED),
        ({"colour": 0.0}, RESIZED),
        ({}, 5 * RESIZED + 1),  # The strongest change of colours multiplies by less than 5.
        ({"square_crop": False, "windows": 2}, 5 * RESIZED + 1),
    ],
)
def test_both_ways_give_the_same_batches(data, settings, bound):
    for expected, found in both(data, **settings):
        assert expected.keys() == found.keys()
        for name in expected.keys() - {"video"}:
            np.testing.assert_array_equal(expected[name], found[name], err_msg=name)
        assert expected["video"].shape == found["video"].shape
        assert found["video"].dtype == tf.float32
        difference = 255 * np.abs(expected["video"].numpy() - found["video"].numpy())
        # TensorFlow smooths a window's border without the colours outside of it.
        assert difference[..., 2:-2, 2:-2, :].max() <= bound
        assert difference.mean() < 0.6


def test_a_batch_is_not_overwritten_while_it_is_held(data):
    """Its memory is used again once it is let go, and TensorFlow does not copy it."""
    made = []
    whole = opencv_pixels._aligned

    def counted(count):
        made.append(whole(count))
        return made[-1]

    def take(number):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opencv_pixels, "_aligned", counted)
            yield from Reader(data.config(pixels="opencv"), None, None).train(seed=1).take(number)

    held = [batch["video"] for batch in take(12)]
    assert len(made) >= 12
    places = {memory.ctypes.data for memory in made}
    assert all(np.asarray(memoryview(video)).ctypes.data in places for video in held)
    made.clear()
    for first, again in zip(held, take(12), strict=True):
        np.testing.assert_array_equal(first, again["video"])
    assert len(made) < 12


def cut_before_the_end(jpeg):
    return jpeg[:-150] + b"\xff\xd9"


def with_zeros(jpeg):
    return jpeg[:-150] + bytes(9) + jpeg[-141:]


def with_more_before_the_end(jpeg):
    return jpeg[:-2] + b"123" + jpeg[-2:]


def with_a_broken_table(jpeg):
    place = jpeg.index(b"\xff\xc4") + 5
    return jpeg[:place] + b"\xff" * 8 + jpeg[place + 8 :]


@pytest.mark.parametrize("edit", [cut_before_the_end, with_zeros, with_more_before_the_end])
def test_what_tensorflow_decodes_is_decoded(data, tmp_path, edit):
    data = records.write(tmp_path / "data")
    data.change(0, 1, set_frame(edit(records.jpeg(77, noise=60)), 2))
    settings = {"num_frames": 6, "colour": 0.0, "on_bad_record": "skip"}
    for expected, found in both(data, **settings):
        np.testing.assert_array_equal(expected["example_id"], found["example_id"])
        difference = 255 * np.abs(expected["video"].numpy() - found["video"].numpy())
        assert difference.mean() < 0.6


@pytest.mark.parametrize("pixels", ["tensorflow", "opencv"])
def test_what_tensorflow_does_not_decode_stops_and_is_named(tmp_path, pixels):
    data = records.write(tmp_path / "data")
    data.change(0, 1, set_frame(with_a_broken_table(records.jpeg(77)), 2))
    for name in ("train", "evaluate"):
        reader = Reader(data.config(pixels=pixels, num_frames=6), None, None, LIMITS)
        dataset = reader.train(seed=0) if name == "train" else reader.evaluate()
        error = DamagedDataError if pixels == "opencv" else tf.errors.InvalidArgumentError
        with pytest.raises(error) as stopped, reader.explained():
            list(dataset.take(4))
        if pixels == "opencv":
            message = str(stopped.value)
            assert message.startswith(f"{data.path(0).name}, example film_000002000")
            assert "frame 2 can't be decoded" in message and "\n" not in message


def test_a_frame_of_another_size_is_told():
    frames = np.array([records.jpeg(9, 24, 32), records.jpeg(9, 20, 32)], object)
    plan = frames, np.array([24, 32]), np.array([0, 0, 20, 20]), False
    result = np.zeros((2, 8, 8, 3), np.float32)
    with pytest.raises(ValueError, match="frame 1 is 32 x 20, the first is 32 x 24"):
        opencv_pixels.clip_pixels(*plan, augmentation.NO_COLOUR_CHANGE, result)


@pytest.mark.parametrize("pixels", ["tensorflow", "opencv"])
def test_of_all_kinds_of_damage_none_is_read_and_none_is_lost(tmp_path, pixels):
    data = records.write(tmp_path / "data", (1, 3))
    for number, (edit, _) in enumerate(EDITS.values()):
        example = records.example(1, f"film{number}")
        replaced = edit(example)
        data.shards[0].append(
            replaced if isinstance(replaced, bytes) else example.SerializeToString()
        )
    data.write()
    settings = {"on_bad_record": "skip", "max_bad_fraction": 1.0, "pixels": pixels}
    reader = Reader(data.config(**settings), None, None, LIMITS)
    report = reader.damage()
    assert report.by_reason == collections.Counter(reason for _, reason in EDITS.values())
    read = [i for batch in reader.evaluate() for i in batch["example_id"][:, 0].numpy().tolist()]
    assert len(set(read)) == len(read) == report.read == 4 == report.written - len(EDITS)
    assert {i for b in reader.train(0).take(8) for i in b["example_id"].numpy()} == set(read)


def test_clips_without_pictures_are_zeros(tmp_path):
    def silent(example):
        example.feature_lists.feature_list.pop("image/encoded")

    data = records.write(tmp_path / "data")
    data.change(0, 1, silent)
    data.add_to_split(num_with_video=7)
    reader = Reader(data.config(pixels="opencv", batch_size=8), None, None)
    for dataset in (reader.train(seed=0), reader.evaluate(pad=True)):
        batch = next(iter(dataset))
        valid = batch["valid/video"].numpy().reshape(8)
        seen = batch["video"].numpy().reshape(8, -1).any(axis=1)
        np.testing.assert_array_equal(seen, valid)
        assert valid.sum() == 7


def test_settings_that_do_not_go_together(data, monkeypatch):
    with pytest.raises(ValueError, match=r"data.pixels is 'numpy'; expected one of tensorflow, op"):
        Reader(data.config(pixels="numpy"), None, None)
    with pytest.raises(ValueError, match=r"tf.data service.*data.pixels=tensorflow"):
        Input(data.config(pixels="opencv", service="grpc://host:5000"))
    entries = ({"directory": str(data.directory)},)
    entries += ({**entries[0], "pixels": "opencv"},)
    with pytest.raises(ValueError, match=r"pixels=opencv and tensorflow; set data.pixels for all"):
        Input(data.config(mixture=entries))
    for name in ("cv2", "simplejpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"simplejpeg and opencv-python-headless; install"):
        Reader(data.config(pixels="opencv"), None, None)
    Reader(data.config(), None, None)


_ENDS_WHILE_READING = """
import sys
from mmv_tf.data import Reader, default_config
config = default_config()
config.update(directory=sys.argv[1], frame_rate=5.0, num_frames=6, size=300, pixels="opencv")
iterator = iter(Reader(config, None, None).train(seed=0))
print(next(iterator)["video"].shape)
"""


def test_a_program_ends_while_its_reader_reads_ahead(data):
    done = subprocess.run(
        [sys.executable, "-c", _ENDS_WHILE_READING, str(data.directory)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "(8, 6, 300, 300, 3)\n"
    assert done.returncode == 0 and "Error" not in done.stderr
