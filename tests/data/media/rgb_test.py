# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import fractions
import itertools
import struct

import av
import numpy as np
import pytest

from mmv_tf.data import media
from mmv_tf.data.media.rgb import Scaler
from tests import clock_samples

# Display of a stored frame with the matrix (a, b, c, d): (x, y) is shown at
# (a x + c y, b x + d y).
SHOWN = {
    (1, 0, 0, 1): lambda x: x,
    (-1, 0, 0, 1): lambda x: x[:, ::-1],
    (1, 0, 0, -1): lambda x: x[::-1],
    (-1, 0, 0, -1): lambda x: x[::-1, ::-1],
    (0, 1, 1, 0): lambda x: x.transpose(1, 0, 2),
    (0, 1, -1, 0): lambda x: np.rot90(x, -1),
    (0, -1, 1, 0): lambda x: np.rot90(x, 1),
    (0, -1, -1, 0): lambda x: np.rot90(x.transpose(1, 0, 2), 2),
}


@pytest.mark.parametrize("matrix", SHOWN)
def test_display_matrix(tmp_path, matrix):
    plain = clock_samples.write(tmp_path / "plain.mp4", 0.4, audio=None)
    data = bytearray(plain.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    at = data.find(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    ((_, stored),) = media.iter_pixels_at(plain, [0.21], clock_samples.HEIGHT)
    ((_, shown),) = media.iter_pixels_at(path, [0.21], clock_samples.HEIGHT)
    right = SHOWN[matrix](stored)
    assert shown.shape == right.shape
    np.testing.assert_array_equal(shown, right)
    info = media.probe(path)
    assert (info.height, info.width) == right.shape[:2]


# Kr and Kb of ITU-T H.273, table 4, by matrix_coefficients; 2 is not specified.
LUMA = {
    1: (0.2126, 0.0722),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def to_yuv(rgb, matrix, full, bits):
    """Return the stored values of a color in [0, 1]."""
    kr, kb = LUMA[matrix]
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    u, v = (rgb[2] - y) / (2 * (1 - kb)), (rgb[0] - y) / (2 * (1 - kr))
    if full:
        top = 2**bits - 1
        middle = 2 ** (bits - 1)
        return [round(y * top), *(min(top, round(c * top + middle)) for c in (u, v))]
    step = 2 ** (bits - 8)
    return [round((16 + 219 * y) * step), *(round((128 + 224 * c) * step) for c in (u, v))]


def to_rgb(stored, matrix, full, bits):
    """Return the color, 0 to 255, of stored values: ITU-T H.273, equations 38 to 43."""
    kr, kb = LUMA[matrix]
    step, middle = 2 ** (bits - 8), 2 ** (bits - 1)
    if full:
        y, u, v = (np.asarray(stored) - [0, middle, middle]) / (2**bits - 1)
    else:
        y, u, v = (np.asarray(stored) - [16 * step, middle, middle]) / step / [219, 224, 224]
    r, b = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    return np.clip(255 * np.array([r, (y - kr * r - kb * b) / (1 - kr - kb), b]), 0, 255)


@pytest.mark.parametrize(
    ("format", "bits"), [("yuv420p", 8), ("yuv420p10le", 10), ("yuv422p", 8), ("yuv444p10le", 10)]
)
@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("full", [False, True])
def test_colours(stream, format, bits, matrix, full):
    frame = av.VideoFrame(64, 48, format)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    generator = np.random.default_rng(0)
    for rgb in [*itertools.product((0.0, 1.0), repeat=3), *generator.uniform(size=(8, 3))]:
        stored = to_yuv(rgb, matrix, full, bits)
        for plane, value in zip(frame.planes, stored, strict=True):
            kind = np.uint16 if bits > 8 else np.uint8
            plane.update(np.full(plane.buffer_size // kind().nbytes, value, kind).tobytes())
        pixels = Scaler(48).scale(frame, stream, "film")
        # FFmpeg's fast interpolation of chroma, used for common matrices, is less exact.
        near = 3.2 if bits == 8 and matrix in (1, 2, 5, 6) else 1.2
        right = to_rgb(stored, matrix, full, bits)
        assert np.abs(pixels[24, 32] - right).max() <= near, (pixels[24, 32], right)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """A track with square pixels."""
    path = clock_samples.write(tmp_path_factory.mktemp("track") / "a.mp4", 0.2, audio=None)
    with av.open(str(path)) as container:
        yield container.streams.video[0]


@pytest.mark.parametrize(("height", "matrix"), [(96, 6), (720, 1)])
def test_a_matrix_that_is_not_stored_is_the_usual_one(stream, height, matrix):
    frame = av.VideoFrame(128, height, "yuv444p")
    rgb = (0.9, 0.2, 0.1)
    for plane, value in zip(frame.planes, to_yuv(rgb, matrix, False, 8), strict=True):
        plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    pixels = Scaler(96).scale(frame, stream, "film")
    assert np.abs(pixels[40, 40] - 255 * np.asarray(rgb)).max() <= 2


def test_a_matrix_that_can_not_be_converted_is_named(stream):
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.colorspace = 8  # YCgCo
    with pytest.raises(media.MediaError, match=r"film: the color matrix 8 \(ITU-T H.273\)"):
        Scaler(48).scale(frame, stream, "film")


@pytest.mark.parametrize("format", ["gray", "rgb24", "gbrp", "yuv420p", "gray10le", "yuva420p"])
def test_formats(stream, format):
    pixels = np.repeat(np.arange(64, dtype=np.uint8)[np.newaxis, :, np.newaxis], 48, 0)
    frame = av.VideoFrame.from_ndarray(np.repeat(4 * pixels, 3, 2), format="rgb24")
    frame = frame.reformat(format=format)
    shown = Scaler(48).scale(frame, stream, "film")
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - 4 * pixels).max() <= 6


def write_of_sizes(path, sizes, seconds=1.0):
    """A film with changing frame sizes, which VP8 allows."""
    base = fractions.Fraction(1, 25)
    with av.open(str(path), "w") as container:
        track = container.add_stream("libvpx", rate=25)
        track.width, track.height, track.pix_fmt = *sizes[0], "yuv420p"
        number = 0
        for width, height in sizes:
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.bit_rate = base, 500_000
            encoder.options = {"deadline": "realtime", "cpu-used": "8"}
            packets = []
            for _ in range(round(25 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 99, np.uint8))
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number, base
                packets += encoder.encode(frame)
                number += 1
            for packet in [*packets, *encoder.encode(None)]:
                packet.stream, packet.time_base = track, base
                container.mux(packet)
    return path


def test_sizes_of_one_shape_come_out_alike(tmp_path):
    path = write_of_sizes(tmp_path / "adaptive.webm", [(160, 90), (106, 60), (240, 136)])
    times = [index / 5 for index in range(15)]
    shapes = {pixels.shape for _, pixels in media.iter_pixels_at(path, times, 48)}
    assert shapes == {(48, 85, 3)}


def test_sizes_of_other_shapes_are_kept(tmp_path):
    path = write_of_sizes(tmp_path / "turning.webm", [(160, 120), (120, 160)])
    tally = media.Tally()
    times = [index / 5 for index in range(10)]
    assert len(list(media.iter_frames_at(path, times, 48, tally=tally))) == 10
    assert tally.sizes == {(64, 48), (48, 64)}
