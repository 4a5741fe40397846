# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Datasets is an extra that is not installed here: a stand-in plays its part.

It has the calls that we make and the documented names of the features; that the package itself
gives the same is not tested.
"""

import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from mmv_tf.data.datasets import read_data_set, tfds_images

CLASSES = ["aeroplane", "bicycle", "bird"]


def jpeg(number):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (20 * number, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


class Features(dict):
    """Stand-in for FeaturesDict."""


class Builder:
    """A data set of five images in each of two splits."""

    def __init__(self, name):
        self.name = name
        several = name.startswith("voc")
        key, file_key = ("labels", "image/filename") if several else ("label", "file_name")
        features = Features({key: types.SimpleNamespace(names=CLASSES), file_key: None})
        self.info = types.SimpleNamespace(features=features, splits={"train": 5, "test": 5})
        self._rows = []
        for number in range(5):
            label = [np.array([number % 3, 2]), np.array(number % 3 - 1)][not several]
            name = f"{number:06d}.jpg".encode()
            self._rows.append({"image": jpeg(number), key: label, file_key: name})

    def download_and_prepare(self):
        if self.name == "imagenet2012" and self.broken:
            raise AssertionError("Manual directory\n does not exist")

    broken = False

    def as_dataset(self, split, decoders, read_config, shuffle_files):
        assert decoders == {"image": "skip"}
        assert read_config == 1
        assert not shuffle_files
        name, _, span = split.partition("[")
        assert name in self.info.splits
        first, last = map(int, span[:-1].split(":")) if span else (0, 5)
        return types.SimpleNamespace(as_numpy_iterator=lambda: iter(self._rows[first:last]))


@pytest.fixture
def stand_in(monkeypatch):
    module = types.SimpleNamespace(
        builder=lambda name, data_dir: Builder(name),
        decode=types.SimpleNamespace(SkipDecoding=lambda: "skip"),
        ReadConfig=lambda interleave_cycle_length: interleave_cycle_length,
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    monkeypatch.setattr(tfds_images, "_IMAGES_A_SOURCE", 3)


def test_voc(stand_in, tmp_path):
    collection = read_data_set("voc2007", tmp_path)
    assert collection.labels == tuple(CLASSES)
    assert [source.selection for source in collection.sources] == [
        "voc/2007:test[0:3]",
        "voc/2007:test[3:5]",
        "voc/2007:train[0:3]",
        "voc/2007:train[3:5]",
    ]
    last = collection.sources[-1].clips
    assert [clip.example_id for clip in last] == ["train/00000003_000003", "train/00000004_000004"]
    assert [clip.labels for clip in last] == [("aeroplane", "bird"), ("bicycle", "bird")]
    assert list(tfds_images.read_images(str(tmp_path), "voc/2007:train[3:5]")) == [jpeg(3), jpeg(4)]


def test_imagenet(stand_in, tmp_path, monkeypatch):
    clips = read_data_set("imagenet2012", tmp_path).sources[0].clips
    # The class of the first image is unpublished.
    assert [clip.labels for clip in clips] == [(), ("aeroplane",), ("bicycle",)]
    monkeypatch.setattr(Builder, "broken", True)
    with pytest.raises(ValueError, match=r"can't prepare imagenet2012 .Manual directory does not"):
        read_data_set("imagenet2012", tmp_path)


def test_hint_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'mmv_tf\[tfds\]'"):
        read_data_set("voc2007", tmp_path)
