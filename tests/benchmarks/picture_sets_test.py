# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import gzip
import json
import struct

import numpy as np
from PIL import Image

from benchmarks import picture_sets


def test_idx_files(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=[5, 4, 6]).astype(np.uint8)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">4i", 2051, 5, 4, 6) + pixels.tobytes()))
    labels = bytes([3, 1, 4, 1, 5])
    beside = tmp_path / "t10k-labels-idx1-ubyte.gz"
    beside.write_bytes(gzip.compress(struct.pack(">2i", 2049, 5) + labels))
    images, found = picture_sets.from_idx(path, 12)
    assert found == [3, 1, 4, 1, 5]
    wanted = Image.fromarray(pixels[2]).resize((12, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[2], np.stack([np.asarray(wanted)] * 3, axis=-1))


def test_digits(tmp_path):
    for digit in range(10):
        values = np.full(2 * 28 * 28 if digit == 7 else 28 * 28, digit / 10)
        (tmp_path / f"{digit}.json").write_text(json.dumps({"data": values.tolist()}))
    images, labels = picture_sets.from_digits(tmp_path, 32)
    assert labels == [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9]
    assert {image.shape for image in images} == {(32, 32, 3)}
    assert [int(image[0, 0, 0]) for image in images] == [round(25.5 * label) for label in labels]


def test_folders_of_classes(tmp_path, capsys):
    generator = np.random.default_rng(0)
    for name, count in (("a", 3), ("b", 1), ("c", 9)):
        (tmp_path / name / "inner").mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(256, size=[20, 30, 3]).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / "inner" / f"{index}.png")
    (tmp_path / "a" / "same.png").write_bytes((tmp_path / "a" / "inner" / "0.png").read_bytes())
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG no picture")
    images, labels = picture_sets.from_folders(tmp_path, 16, least=2, most=5)
    assert labels == [0] * 3 + [2] * 5, "b is too small, a picture twice counts once"
    assert len({image.tobytes() for image in images}) == 8
    assert "broken.png" in capsys.readouterr().out
