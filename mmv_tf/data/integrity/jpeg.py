# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses JPEG headers without decoding pixels."""

from __future__ import annotations

import dataclasses
import struct

NOT_JPEG = "not a JPEG"
TRUNCATED_JPEG = "truncated JPEG"
UNSUPPORTED_JPEG = "unsupported JPEG"

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_QUANTIZATION = 0xDB
# Baseline, extended and progressive frames with Huffman coding, which libjpeg-turbo decodes.
_FRAMES = (0xC0, 0xC1, 0xC2)
# Lossless, hierarchical and arithmetic-coded frames.
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
# Ours: the last marker may be this far from the end, since some cameras append padding.
_PADDING_BYTES = 64
_MAGIC_NUMBERS = {b"\x89PNG": "PNG", b"GIF8": "GIF", b"RIFF": "WebP", b"BM": "BMP"}


@dataclasses.dataclass(frozen=True)
class JpegHeader:
    """Size in pixels, and number of color components."""

    height: int
    width: int
    components: int


@dataclasses.dataclass(frozen=True)
class JpegProblem:
    """The reason why a JPEG cannot be decoded, one of the constants above, with details."""

    reason: str
    detail: str


def read_jpeg_header(data: bytes) -> JpegHeader | JpegProblem:
    """Parse the markers before the pixel data, and check for the end marker."""
    if data[:2] != _START:
        kinds = [kind for magic, kind in _MAGIC_NUMBERS.items() if data.startswith(magic)]
        return JpegProblem(NOT_JPEG, f"it is a {kinds[0]}" if kinds else "its kind is unknown")
    header: JpegHeader | None = None
    quantized = False
    place = 2
    while True:
        while data[place : place + 2] == b"\xff\xff":
            place += 1
        marker = data[place : place + 4]
        if len(marker) < 4:
            return JpegProblem(TRUNCATED_JPEG, f"it ends in its header, after {len(data)} bytes")
        if marker[0] != 0xFF or marker[1] == 0:
            return JpegProblem(NOT_JPEG, f"there is no marker at byte {place} of its header")
        kind = marker[1]
        if kind in _WITHOUT_LENGTH:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", marker, 2)
        if kind in _OTHER_FRAMES:
            return JpegProblem(UNSUPPORTED_JPEG, f"its frame marker is FF{kind:02X}")
        if kind in _FRAMES:
            frame = data[place + 4 : place + 10]
            if len(frame) < 6:
                return JpegProblem(TRUNCATED_JPEG, "it ends in its header")
            precision, height, width, components = struct.unpack(">BHHB", frame)
            if precision != 8 or components not in (1, 3):
                return JpegProblem(
                    UNSUPPORTED_JPEG, f"it has {components} components of {precision} bits"
                )
            if height == 0 or width == 0:
                return JpegProblem(UNSUPPORTED_JPEG, f"its size is {width} x {height}")
            header = JpegHeader(height, width, components)
        quantized |= kind == _QUANTIZATION
        place += 2 + length
        if kind == _SCAN:
            break
    if header is None or not quantized:
        return JpegProblem(NOT_JPEG, "its header lacks the size or the quantization table")
    if data.rfind(_END, max(place, len(data) - _PADDING_BYTES)) < 0:
        return JpegProblem(TRUNCATED_JPEG, f"no end marker in its {len(data)} bytes")
    return header
