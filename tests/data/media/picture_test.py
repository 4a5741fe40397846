# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mmv_tf.data import media
from tests import media_samples


def test_encode_image(tmp_path):
    picture = Image.new("RGB", (40, 30), (200, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # A quarter turn.
    picture.save(tmp_path / "a.jpg", exif=exif)
    jpeg, height, width = media.encode_image(tmp_path / "a.jpg", 60)
    assert (height, width) == (80, 60)
    assert media_samples.decode(jpeg).shape == (80, 60, 3)
    np.testing.assert_allclose(media_samples.decode(jpeg)[40, 30], [200, 0, 0], atol=4)
    with pytest.raises(media.MediaError, match=r"^x: can't be decoded"):
        media.encode_image(b"x", 60, name="x")


def test_image_pixels(tmp_path):
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for source in (tmp_path / "a.png", data):
        assert media.image_pixels(source, 20).shape == (20, 40, 3)
        squeezed = media.image_pixels(source, 20, square=True)
        assert squeezed.shape == (20, 20, 3)
        assert (squeezed == (10, 200, 30)).all()
