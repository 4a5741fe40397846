# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures that are no film, with Pillow."""

from __future__ import annotations

import contextlib
import io
import pathlib
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmv_tf.data.media.limits import MAX_PIXELS, MediaError, check_aspect


def encode_image(
    source: str | pathlib.Path | bytes,
    short_side: int,
    jpeg_quality: int = 90,
    name: str | None = None,
) -> tuple[bytes, int, int]:
    """A picture as a JPEG, upright, with its shorter side scaled.

    Args:
      source: a file, or what is in one.
      short_side: pixels that the shorter side is scaled to, up or down.
      jpeg_quality: 1 to 95.
      name: what messages call the picture where `source` is no path.

    Returns:
      JPEG bytes, height, width.

    Raises:
      MediaError: it can't be decoded, or it is too large or too long in one direction.
    """
    upright = _upright(source, short_side, False, name)
    buffer = io.BytesIO()
    upright.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue(), upright.height, upright.width


def image_pixels(
    source: str | pathlib.Path | bytes,
    short_side: int,
    square: bool = False,
    name: str | None = None,
) -> np.ndarray:
    """A picture as pixels, upright: uint8 [height, width, 3].

    Args:
      source, short_side, name: see `encode_image`.
      square: scale the longer side to as many pixels: the picture is squeezed.

    Raises:
      MediaError: see `encode_image`.
    """
    return np.asarray(_upright(source, short_side, square, name))


def _upright(
    source: str | pathlib.Path | bytes, short_side: int, square: bool, name: str | None
) -> Image.Image:
    """A picture, upright and scaled."""
    name = name if name is not None else str(source)
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    with open_image(opened, name) as image:
        check_aspect(image.width, image.height, name)
        try:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise MediaError(f"{name}: can't be decoded ({error}); get a whole copy.") from error
    scale = short_side / min(upright.size)
    width, height = (max(1, round(side * scale)) for side in upright.size)
    if square:
        width = height = short_side
    if (width, height) != upright.size:
        upright = upright.resize((width, height), Image.Resampling.BICUBIC)
    return upright


@contextlib.contextmanager
def open_image(
    source: str | pathlib.Path | io.BytesIO, name: object = None
) -> Iterator[Image.Image]:
    """An open picture, of which only the header is read; its size is checked."""
    name = name if name is not None else source
    try:
        with warnings.catch_warnings():
            # The limit is ours, below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "no image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise MediaError(f"{name}: can't be decoded ({reason}); expected an image.") from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise MediaError(
                f"{name}: the picture has {image.width * image.height} pixels; at most "
                f"{MAX_PIXELS} are decoded."
            )
        yield image
