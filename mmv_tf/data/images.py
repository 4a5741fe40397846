# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoding of pictures that are no film, with Pillow: always upright, always 8-bit RGB.

A picture's size is checked in its header before anything is decoded. The content tells the format,
not the name, so only formats are tried whose decoders start no program and open no other file.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pathlib
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmv_tf.data.file_types import MAX_PIXELS, MediaError, check_aspect
from mmv_tf.util.files import check_regular

# A file, or what is in one.
Source: TypeAlias = str | pathlib.Path | bytes

# All of Pillow's that only decode pixels. Not EPS, which is a program that Ghostscript runs; IPTC,
# which holds a picture of any format, EPS too; FITS, which unpacks gzip of any size; WMF, BUFR,
# GRIB and HDF5, which other libraries decode; MPEG, which nothing decodes. A phone's MPO is opened
# as the JPEG that it begins with.
_FORMATS = frozenset(
    "AVIF BLP BMP CUR DCX DDS DIB FLI FTEX GBR GIF ICNS ICO IM IMT JPEG JPEG2000 MCIDAS MSP PCD "
    "PCX PIXAR PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP XBM XPM XVTHUMB".split()
)

# A JPEG is decoded at a fraction of its size that is at least this many times the wanted one, which
# can't be seen after scaling (Pillow's own thumbnails do the same).
_REDUCING_GAP = 2
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)  # orientations that swap height and width
# What Pillow's decoders raise for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error),
    *(AttributeError, OverflowError, ZeroDivisionError, MemoryError, RuntimeError),
)


def picture_size(source: Source, name: str | None = None) -> tuple[int, int]:
    """Width and height as displayed, from the header alone.

    Raises:
      MediaError: it is missing, no picture, or too large.
    """
    with _open(source, _name(source, name)) as picture:
        width, height = picture.size
        # Of a TIFF Pillow gives the size as displayed.
        lying = picture.format != "TIFF" and _orientation(picture) in _LYING
        return (height, width) if lying else (width, height)


def image_pixels(
    source: Source, short_side: int, square: bool = False, name: str | None = None
) -> np.ndarray:
    """A whole picture as pixels, uint8 [height, width, 3].

    It is turned upright as its EXIF data say. Gray, palette, CMYK and 16-bit pictures become 8-bit
    RGB; what is transparent lies over white; an animation shows its first frame.

    Args:
      source: a file, or what is in one.
      short_side: pixels that the shorter side is scaled to, up or down.
      square: scale the longer side to as many pixels: the picture is squeezed.
      name: what messages call the picture where `source` is no path.

    Raises:
      MediaError: it can't be decoded, or it is too large or too long in one direction.
    """
    return np.asarray(_whole(source, short_side, square, name))


def encode_image(
    source: Source, short_side: int, jpeg_quality: int = 90, name: str | None = None
) -> tuple[bytes, int, int]:
    """`image_pixels` as a JPEG of a quality from 1 to 95.

    Returns:
      JPEG bytes, height, width.
    """
    picture = _whole(source, short_side, False, name)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue(), picture.height, picture.width


def center_crop(source: Source, short_side: int, size: int, name: str | None = None) -> np.ndarray:
    """The middle of a picture, uint8 [size, size, 3]; see `image_pixels`.

    However long the picture is in one direction, no more than the middle is scaled.

    Args:
      source, short_side, name: see `image_pixels`.
      size: of the middle that is cut out once the shorter side has `short_side` pixels.

    Raises:
      MediaError: it can't be decoded or is too large.
      ValueError: if `size` is more than `short_side`.
    """
    if size > short_side:
        raise ValueError(f"A short side of {short_side} has no crop of {size} pixels.")
    upright, _ = _upright(source, short_side, _name(source, name))
    half = min(upright.size) * size / short_side / 2
    middle = [side / 2 for side in upright.size]
    box = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    return np.asarray(upright.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _whole(source: Source, short_side: int, square: bool, name: str | None) -> Image.Image:
    upright, sides = _upright(source, short_side, _name(source, name), check_aspect)
    scale = short_side / min(sides)
    width, height = (short_side, short_side) if square else (round(side * scale) for side in sides)
    if (width, height) == upright.size:
        return upright
    return upright.resize((width, height), Image.Resampling.BICUBIC)


def _upright(
    source: Source,
    short_side: int,
    name: str,
    check: Callable[[int, int, object], None] = lambda width, height, name: None,
) -> tuple[Image.Image, tuple[int, int]]:
    """8-bit RGB, decoded no larger than scaling to `short_side` calls for; and its full size."""
    with _open(source, name) as picture:
        width, height = picture.size
        check(width, height, name)
        try:
            least = _REDUCING_GAP * short_side
            picture.draft(None, (least, least))
            picture.load()
            lying = _orientation(picture) in _LYING  # some formats tell only at their end
            with contextlib.suppress(*_DAMAGE):  # damaged EXIF data do no harm to the pixels
                picture = ImageOps.exif_transpose(picture)
            return _as_rgb(picture), (height, width) if lying else (width, height)
        except _DAMAGE as error:
            raise MediaError(
                f"{name}: can't be decoded ({_line(error)}); get a whole copy."
            ) from error


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16 bits and more; Pillow's own conversion would cut values at 255.
        values = np.nan_to_num(np.asarray(picture, np.float64))
        top = 65535.0 if picture.mode != "F" else max(float(values.max()), 1e-12)
        picture = Image.fromarray((255 * values / top).clip(0, 255).astype(np.uint8))
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return picture.convert("RGB")


@contextlib.contextmanager
def _open(source: Source, name: str) -> Iterator[Image.Image]:
    """An open picture, of which only the header is read; its size is checked."""
    with warnings.catch_warnings():
        # Of sizes, whose limit is ours, and of damaged EXIF data.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            if not isinstance(source, bytes):
                check_regular(source)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            picture = Image.open(file, formats=_formats())
        except FileNotFoundError as error:
            raise MediaError(f"{name}: no such file; expected an image.") from error
        except (*_DAMAGE, Image.DecompressionBombError) as error:
            reason = _line(error)
            if isinstance(error, UnidentifiedImageError):
                reason = "no image of a format that is read"
            raise MediaError(
                f"{name}: can't be decoded ({reason}); expected an image: JPEG, PNG, GIF, WebP, "
                "AVIF, BMP, TIFF or PPM."
            ) from error
        with picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise MediaError(
                    f"{name}: the picture has {picture.width} x {picture.height} pixels; at most "
                    f"{MAX_PIXELS} are decoded."
                )
            yield picture


@functools.cache
def _formats() -> list[str]:
    """Those of `_FORMATS` that this Pillow has, in its own order."""
    Image.init()
    return [name for name in Image.ID if name in _FORMATS]


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return 1


def _name(source: Source, name: str | None) -> str:
    if name is not None:
        return name
    return "the picture" if isinstance(source, bytes) else str(source)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
