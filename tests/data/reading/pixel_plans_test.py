# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches of both decoders: their pixels, and the handling of damage."""

import collections
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import DamagedDataError, Input, Reader
from mmv_tf.data.reading.settings import PIXELS
from tests import records
from tests.data.integrity.damage_test import EDITS, LIMITS, set_frame

SIZE = 40
# Of 255; see opencv_pixels_test.
RESIZED = 0.8


def both(data, **settings):
    """Return the same batches from both decoders."""
    found = []
    for pixels in PIXELS:
        reader = Reader(data.config(pixels=pixels, size=SIZE, **settings), None, None)
        found.append(list(reader.train(seed=5).take(6)) + list(reader.evaluate()))
    return zip(*found, strict=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Frames large enough to have few border pixels."""
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
        pytest.param({"colour": 0.0}, RESIZED, marks=pytest.mark.slow),
        ({}, 5 * RESIZED + 1),  # The strongest change of colors multiplies by less than 5.
        pytest.param({"square_crop": False, "windows": 2}, 5 * RESIZED + 1, marks=pytest.mark.slow),
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
        # TensorFlow smooths the border of a window without the colors outside.
        assert difference[..., 2:-2, 2:-2, :].max() <= bound
        assert difference.mean() < 0.6


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
def test_what_tensorflow_decodes_is_decoded(tmp_path, edit):
    data = records.write(tmp_path / "data")
    data.change(0, 1, set_frame(edit(records.jpeg(77, noise=60)), 2))
    settings = {"num_frames": 6, "colour": 0.0, "on_bad_record": "skip"}
    for expected, found in both(data, **settings):
        np.testing.assert_array_equal(expected["example_id"], found["example_id"])
        difference = 255 * np.abs(expected["video"].numpy() - found["video"].numpy())
        assert difference.mean() < 0.6


@pytest.mark.parametrize("pixels", PIXELS)
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


@pytest.mark.parametrize("pixels", PIXELS)
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
    with pytest.raises(
        ValueError, match=r"differ in pixels \(opencv, tensorflow\); set data.pixels to one"
    ):
        Input(data.config(mixture=entries))
    for name in ("cv2", "simplejpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"simplejpeg and opencv-python-headless; install"):
        Reader(data.config(pixels="opencv"), None, None)
    Reader(data.config(), None, None)
