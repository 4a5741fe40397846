# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images in every mode, turned, cut off, damaged, or with a header of a huge size."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from mmv_tf.data import images, media
from tests import media_samples


def encoded(picture, form="PNG", **arguments):
    stream = io.BytesIO()
    picture.save(stream, form, **arguments)
    return stream.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def quadrants(width, height):
    """Red, green / blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 255
    pixels[: height // 2, width // 2 :, 1] = 255
    pixels[height // 2 :, : width // 2, 2] = 255
    pixels[height // 2 :, width // 2 :] = 255
    return Image.fromarray(pixels)


def corners(pixels):
    names = {(255, 0, 0): "red", (0, 255, 0): "green", (0, 0, 255): "blue"}
    places = [(2, 2), (2, -3), (-3, 2), (-3, -3)]
    return [names.get(tuple((pixels[p] > 127) * 255), "white") for p in places]


def level(picture, form="PNG", **arguments):
    pixels = images.center_crop(encoded(picture, form, **arguments), 8, 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    return pixels.mean(axis=(0, 1)).round().astype(int).tolist()


def test_every_mode_becomes_rgb():
    assert level(Image.new("L", (9, 9), 100)) == [100] * 3
    assert level(Image.new("1", (9, 9), 1)) == [255] * 3
    assert level(Image.new("LA", (9, 9), (0, 128))) == [127] * 3  # half transparent, on white
    assert level(Image.new("RGBA", (9, 9), (0, 0, 0, 0))) == [255] * 3
    assert level(Image.new("CMYK", (9, 9), (0, 0, 0, 0)), "TIFF") == [255] * 3
    assert level(Image.new("CMYK", (9, 9), (255, 0, 0, 0)), "JPEG")[0] < 10
    assert level(Image.fromarray(np.full((9, 9), 32768, np.uint16))) == [127] * 3
    assert level(Image.fromarray(np.full((9, 9), 0.5, np.float32)), "TIFF") == [255] * 3
    assert level(Image.new("YCbCr", (9, 9), (200, 128, 128)), "JPEG") == [200] * 3
    see_through = Image.new("P", (9, 9), 3)
    assert level(see_through, "GIF", transparency=3) == [255] * 3


def test_an_animation_shows_its_first_frame():
    frames = [Image.new("RGB", (9, 9), (value,) * 3) for value in (10, 200)]
    assert level(frames[0], "GIF", save_all=True, append_images=frames[1:]) == [10] * 3
    assert (
        level(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True) == [10] * 3
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_turned_pictures_stand_upright(form, tmp_path):
    # An image twice as wide as high, stored as by a camera held on its side.
    upright = quadrants(64, 32)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    data = encoded(stored, form, exif=turned(6))
    wanted = ["red", "green", "blue", "white"]
    assert corners(images.center_crop(data, 32, 32)) == wanted
    whole = images.image_pixels(data, 16)
    assert whole.shape == (16, 32, 3) and corners(whole) == wanted
    assert images.image_size(data) == (64, 32)
    (tmp_path / "a").write_bytes(data)
    info = media.probe(tmp_path / "a", "image")
    assert (info.width, info.height) == (64, 32)


def test_whole_pictures_keep_their_shape_or_are_squeezed(tmp_path):
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for source in (tmp_path / "a.png", data):
        assert images.image_pixels(source, 20).shape == (20, 40, 3)
        squeezed = images.image_pixels(source, 20, square=True)
        assert squeezed.shape == (20, 20, 3)
        assert (squeezed == (10, 200, 30)).all()


def test_encode_image(tmp_path):
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "a.jpg", exif=turned(6))
    jpeg, height, width = images.encode_image(tmp_path / "a.jpg", 60)
    assert (height, width) == (80, 60)
    assert media_samples.decode(jpeg).shape == (80, 60, 3)
    np.testing.assert_allclose(media_samples.decode(jpeg)[40, 30], [200, 0, 0], atol=4)
    with pytest.raises(media.MediaError, match=r"^x: can't be decoded"):
        images.encode_image(b"x", 60, name="x")


def test_the_middle_is_where_scaling_by_hand_puts_it():
    noise = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    picture = Image.fromarray(noise).resize((300, 400), Image.Resampling.BICUBIC)
    by_hand = np.asarray(picture.resize((60, 80), Image.Resampling.BICUBIC))[16:64, 6:54]
    found = images.center_crop(encoded(picture), 60, 48)
    assert np.abs(found.astype(int) - by_hand).max() <= 3
    # A large JPEG is decoded at a reduced size, invisibly.
    found = images.center_crop(encoded(picture, "JPEG", quality=98, subsampling=0), 60, 48)
    assert np.abs(found.astype(int) - by_hand).mean() < 1.5
    with pytest.raises(ValueError, match="crop is 61 pixels wide"):
        images.center_crop(encoded(picture), 60, 61)


def test_tiny_and_thin_pictures():
    assert images.center_crop(encoded(Image.new("RGB", (1, 1), (9, 9, 9))), 32, 32).max() == 9
    thin = encoded(Image.new("RGB", (2, 5000), (9, 9, 9)))
    assert images.center_crop(thin, 256, 224).shape == (224, 224, 3)
    with pytest.raises(media.MediaError, match="2 x 5000; expected an aspect ratio of at most 16"):
        images.image_pixels(thin, 256)


def test_headers_that_promise_too_much(tmp_path):
    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))
    Image.new("1", (9000, 9000)).save(tmp_path / "b.png")
    for source, message in ((bomb, "decoded"), (tmp_path / "b.png", "9000 x 9000 pixels; at most")):
        for read in (images.image_size, lambda x: images.center_crop(x, 8, 8)):
            with pytest.raises(media.MediaError, match=message):
                read(source)


def test_what_is_no_picture(tmp_path):
    with pytest.raises(media.MediaError, match=r"nowhere\.png: no such file"):
        images.center_crop(tmp_path / "nowhere.png", 8, 8)
    (tmp_path / "folder.png").mkdir()
    for source in (b"", b"hello", tmp_path / "folder.png"):
        with pytest.raises(media.MediaError, match="can't be decoded"):
            images.center_crop(source, 8, 8)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_damaged_files_are_read_or_refused_in_one_line(form):
    picture = quadrants(40, 30)
    exif = {"exif": turned(6)} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}
    whole = np.frombuffer(encoded(picture, form, **exif), np.uint8)
    generator = np.random.default_rng(0)
    refused = []
    for trial in range(60):
        data = whole.copy()
        if trial % 2:
            data = data[: generator.integers(len(data))]
        else:
            places = generator.integers(len(data), size=4)
            data[places] = generator.integers(0, 256, size=4)
        try:
            assert images.center_crop(data.tobytes(), 8, 8).shape == (8, 8, 3)
        except media.MediaError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all(len(message.splitlines()) == 1 for message in refused)


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """Put a `gs` that creates a file first on the path; return the file's path."""
    folder, marker = tmp_path / "bin", tmp_path / "started"
    folder.mkdir()
    program = folder / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    # Pillow searches for it once per process.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return marker


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n{} loop\n%%EOF\n"
# A PostScript program behind a preview, as DOS programs wrote it.
BINARY_EPS = struct.pack("<4sIIIIII", b"\xc5\xd0\xd3\xc6", 32, len(POSTSCRIPT), 0, 0, 0, 0)


def iptc(content):
    """An image in IPTC records, which Pillow extracts and opens again in any format."""

    def record(number, data):
        return struct.pack(">BBBH", 0x1C, number >> 8, number & 255, len(data)) + data

    sizes = record(0x0314, struct.pack(">H", 40)) + record(0x031E, struct.pack(">H", 30))
    kind = record(0x0337, b"\x01") + record(0x033C, b"\x01\x00") + record(0x0341, b"\x01\x00")
    return sizes + kind + record(0x0378, b"\x05") + record(0x080A, content)


@pytest.mark.parametrize(
    "content",
    [
        POSTSCRIPT,
        BINARY_EPS.ljust(32, b"\0") + POSTSCRIPT,
        iptc(POSTSCRIPT),
        b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    ],
    ids=["eps", "binary eps", "iptc", "pdf", "svg"],
)
@pytest.mark.parametrize("name", ["holiday.png", "holiday.eps", "holiday.tif"])
def test_no_picture_starts_a_program(content, name, tmp_path, ghostscript):
    path = tmp_path / name
    path.write_bytes(content)
    for source in (path, content):
        for read in (images.image_size, lambda x: images.center_crop(x, 8, 8)):
            with pytest.raises(media.MediaError, match="expected an image: JPEG, PNG") as error:
                read(source)
            assert isinstance(source, bytes) or name in str(error.value)
    assert not ghostscript.exists()


@pytest.mark.parametrize(
    "form",
    "BLP BMP DDS DIB GIF ICNS ICO IM JPEG JPEG2000 MPO PCX PNG PPM QOI SGI TGA TIFF WEBP".split(),
)
def test_every_common_format_is_read_whatever_its_name(form, tmp_path):
    picture = quadrants(64, 64)
    if form in ("BLP", "GIF"):
        picture = picture.quantize(256)
    second = {"save_all": True, "append_images": [quadrants(64, 64)]} if form == "MPO" else {}
    try:
        data = encoded(picture, form, **second)
    except (KeyError, OSError) as error:  # this Pillow was built without it
        pytest.skip(str(error))
    (tmp_path / "picture.jpg").write_bytes(data)
    assert corners(images.center_crop(tmp_path / "picture.jpg", 64, 64)) == [
        "red", "green", "blue", "white"
    ]  # fmt: skip
