# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes images with Pillow as upright 8-bit RGB.

An image's size is checked in its header before decoding. The format is detected from the content,
not the name, so only formats whose decoders start no program and open no other file are allowed.
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
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.media import at_hand

# A file, or the content of one.
Source: TypeAlias = str | pathlib.Path | bytes

# Pillow's formats that only decode pixels. Excluded are EPS, a program that Ghostscript runs; IPTC,
# which may contain EPS; FITS, which unpacks gzip of any size; WMF, BUFR, GRIB and HDF5, which other
# libraries decode; and MPEG, which has no decoder. A phone's MPO opens as the JPEG at its start.
_FORMATS = frozenset(
    "AVIF BLP BMP CUR DCX DDS DIB FLI FTEX GBR GIF ICNS ICO IM IMT JPEG JPEG2000 MCIDAS MSP PCD "
    "PCX PIXAR PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP XBM XPM XVTHUMB".split()
)

# A JPEG is decoded at a reduced size of at least this many times the requested size, which is
# invisible after scaling (Pillow's thumbnails do the same).
_REDUCING_GAP = 2
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)  # Orientations that swap height and width.
# Errors of Pillow's decoders for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error),
    *(AttributeError, OverflowError, ZeroDivisionError, MemoryError, RuntimeError),
)


def image_size(source: Source, name: str | None = None) -> tuple[int, int]:
    """Return the width and height as displayed, from the header alone.

    Raises:
      MediaError: the file is missing, not an image, or too large.
    """
    with _open(source, _name(source, name)) as image:
        width, height = image.size
        # For TIFF, Pillow returns the size as displayed.
        lying = image.format != "TIFF" and _orientation(image) in _LYING
        return (height, width) if lying else (width, height)


def image_pixels(
    source: Source, short_side: int, square: bool = False, name: str | None = None
) -> np.ndarray:
    """Return a whole image as pixels, uint8 [height, width, 3].

    EXIF data turn it upright. Gray, palette, CMYK and 16-bit images become 8-bit RGB; transparent
    images are placed on a white background; an animation yields its first frame.

    Args:
      source: a file, or a file's content.
      short_side: size in pixels to which the shorter side is scaled, up or down.
      square: whether to scale the longer side to the same size, which distorts the image.
      name: the image's name in messages, if `source` is not a path.

    Raises:
      MediaError: the image can't be decoded, is too large or is too elongated.
    """
    return np.asarray(_whole(source, short_side, square, name))


def encode_image(
    source: Source, short_side: int, jpeg_quality: int = 90, name: str | None = None
) -> tuple[bytes, int, int]:
    """Encode `image_pixels` as a JPEG with a quality from 1 to 95.

    Returns:
      JPEG bytes, height, width.
    """
    image = _whole(source, short_side, False, name)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue(), image.height, image.width


def center_crop(source: Source, short_side: int, size: int, name: str | None = None) -> np.ndarray:
    """Return an image's center, uint8 [size, size, 3]; see `image_pixels`.

    Only the center is scaled, however elongated the image is.

    Args:
      source, short_side, name: see `image_pixels`.
      size: side of the center crop after scaling the shorter side to `short_side` pixels.

    Raises:
      MediaError: the image can't be decoded or is too large.
      ValueError: `size` exceeds `short_side`.
    """
    if size > short_side:
        raise ValueError(
            f"The crop is {size} pixels wide; expected at most {short_side}, the short side; "
            "make it smaller."
        )
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
    """Return 8-bit RGB, decoded no larger than scaling to `short_side` needs, and the full size."""
    with _open(source, name) as image:
        width, height = image.size
        check(width, height, name)
        try:
            least = _REDUCING_GAP * short_side
            image.draft(None, (least, least))
            image.load()
            lying = _orientation(image) in _LYING  # Some formats store it at their end.
            with contextlib.suppress(*_DAMAGE):  # Damaged EXIF data do not affect the pixels.
                image = ImageOps.exif_transpose(image)
            return _as_rgb(image), (height, width) if lying else (width, height)
        except _DAMAGE as error:
            raise MediaError(
                f"{name}: can't be decoded ({_line(error)}); get a complete copy."
            ) from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits and more; Pillow's own conversion would clip values at 255.
        values = np.nan_to_num(np.asarray(image, np.float64))
        top = 65535.0 if image.mode != "F" else max(float(values.max()), 1e-12)
        image = Image.fromarray((255 * values / top).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return image.convert("RGB")


@contextlib.contextmanager
def _open(source: Source, name: str) -> Iterator[Image.Image]:
    """Open an image, read only its header, and check its size."""
    with contextlib.ExitStack() as stack:
        if not isinstance(source, bytes):
            # A missing file is reported below. Other errors of a store do not concern the image.
            with contextlib.suppress(MissingError):
                stack.enter_context(at_hand(source))
        yield stack.enter_context(_opened(source, name))


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        # Warnings about sizes, for which we have our own limit, and about damaged EXIF data.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            if not isinstance(source, bytes):
                check_regular(source)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            image = Image.open(file, formats=_formats())
        except FileNotFoundError as error:
            raise MediaError(f"{name}: no such file; expected an image.") from error
        except (*_DAMAGE, Image.DecompressionBombError) as error:
            reason = _line(error)
            if isinstance(error, UnidentifiedImageError):
                reason = "no image of a supported format"
            raise MediaError(
                f"{name}: can't be decoded ({reason}); expected an image: JPEG, PNG, GIF, WebP, "
                "AVIF, BMP, TIFF or PPM."
            ) from error
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise MediaError(
                    f"{name}: the image has {image.width} x {image.height} pixels; at most "
                    f"{MAX_PIXELS} are decoded; scale it down."
                )
            yield image


@functools.cache
def _formats() -> list[str]:
    """Return the formats in `_FORMATS` that this Pillow supports, in its own order."""
    Image.init()
    return [name for name in Image.ID if name in _FORMATS]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return 1


def _name(source: Source, name: str | None) -> str:
    if name is not None:
        return name
    return "the image" if isinstance(source, bytes) else str(source)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
