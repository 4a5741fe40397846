# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Converts decoded frames to RGB as a player shows them: upright and scaled."""

from __future__ import annotations

import struct

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from mmv_tf.data.file_types import MediaError, check_aspect

# ITU-T H.273, table 4: values of matrix_coefficients.
_UNSPECIFIED = 2
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.DEFAULT,  # BT.601, 625 lines
    6: Colorspace.DEFAULT,  # BT.601, 525 lines
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,  # constant luminance, which players treat the same
}
_RGB = 0
_EXACT = Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_HD_LINES = 720
# Ours: a frame whose scaled sides are this close to the film's gets the film's size, because
# rounding makes the sizes of one shape differ.
_SAME_SHAPE = 0.02


def display_matrix(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Return how to turn a frame upright: swap the axes, then mirror left-right, top-bottom.

    Rounds the matrix of the container or codec to the nearest of the eight with right angles.
    """
    side = frame.side_data.get(SideData.DISPLAYMATRIX)
    data = bytes(side) if side is not None else b""
    if len(data) < 36:
        return False, False, False
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    # A point (x, y) is shown at (a x + c y, b x + d y).
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def display_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Return width and height as displayed: upright, with square pixels."""
    ratio = float(stream.sample_aspect_ratio or 1)
    width, height = max(1, round(frame.width * ratio)), frame.height
    swapped, _, _ = display_matrix(frame)
    return (height, width) if swapped else (width, height)


class Scaler:
    """Scales frames, upright and with square pixels; keeps FFmpeg's scaler between frames.

    Args:
      short_side: size in pixels to which the shorter side is scaled, up or down.
      square: whether to scale the longer side to the same size, which distorts the frame.
      film_size: width and height of the film's first frame. Frames of the same shape, to within
        2 %, get the same size.
    """

    def __init__(
        self, short_side: int, square: bool = False, film_size: tuple[int, int] | None = None
    ):
        self._short_side = short_side
        self._square = square
        self._film_size = self._scaled(*film_size) if film_size is not None else None
        self._reformatter = VideoReformatter()

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        scale = self._short_side / min(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if self._square:
            return self._short_side, self._short_side
        size = self._scaled(width, height)
        if self._film_size is not None and all(
            abs(own - film) <= max(1.0, _SAME_SHAPE * film)
            for own, film in zip(size, self._film_size, strict=True)
        ):
            return self._film_size
        return size

    def scale(self, frame: av.VideoFrame, stream: av.VideoStream, path: object) -> np.ndarray:
        """Return the frame as uint8 [height, width, 3].

        Raises:
          MediaError: the frame is too elongated, or its color matrix is not supported.
        """
        width, height = display_size(frame, stream)
        check_aspect(width, height, path)
        width, height = self._size(width, height)
        swapped, mirrored, flipped = display_matrix(frame)
        if swapped:
            width, height = height, width  # Scaled first, then turned.
        # Area averaging avoids aliasing when shrinking, but is blocky when enlarging.
        shrinks = width <= frame.width and height <= frame.height
        matrix, flags = _colors(frame, path)
        image = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=matrix,
            interpolation=(Interpolation.AREA if shrinks else Interpolation.BICUBIC) | flags,
        ).to_ndarray()
        if swapped:
            image = image.transpose(1, 0, 2)
        if mirrored:
            image = image[:, ::-1]
        if flipped:
            image = image[::-1]
        return np.ascontiguousarray(image)


def _colors(frame: av.VideoFrame, path: object) -> tuple[Colorspace, Interpolation]:
    """Return the frame's color matrix and the accuracy of chroma interpolation.

    The default matrix depends on the size. FFmpeg's fast interpolation of chroma is off by up to 5
    of 255; it is used only for 8-bit BT.601 and BT.709, where the error is at most 3.
    """
    stored = int(frame.colorspace)
    components = frame.format.components
    is_rgb = frame.format.is_rgb or len(components) < 3 or stored == _RGB
    if stored == _UNSPECIFIED or is_rgb:
        stored = 1 if stored == _UNSPECIFIED and frame.height >= _HD_LINES else 6
    matrix = _MATRICES.get(stored)
    if matrix is None:
        raise MediaError(
            f"{path}: the color matrix {stored} (ITU-T H.273) can't be converted; expected "
            "BT.601, BT.709, FCC, SMPTE 240M or BT.2020; re-encode it."
        )
    usual = matrix in (Colorspace.ITU709, Colorspace.DEFAULT)
    deep = any(component.bits > 8 for component in components)
    return matrix, Interpolation(0) if usual and not deep else _EXACT
