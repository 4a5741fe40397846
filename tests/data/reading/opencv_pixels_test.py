# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A clip's pixels agree with NumPy's, up to the rounding of bytes."""

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.reading import augmentation, pixels
from tests import records

HEIGHT, WIDTH, SIZE = 48, 64, 40
# Of 255: half a byte of rounding, and OpenCV's fixed-point error (0.76 was measured).
RESIZED = 0.8
# Likewise for a color change, whose matrix has ten fractional bits.
ROUNDED = 0.8


def bilinear(window, size):
    """Resize with half-pixel centers and no smoothing, one row and column after the other."""
    for axis in (0, 1):
        length = window.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (place - low).reshape([-1 if n == axis else 1 for n in range(3)])
        window = (1 - share) * np.take(window, low, axis) + share * np.take(window, high, axis)
    return window


def expected_clip(jpegs, crop, mirrored, color):
    """Return the clip in float64, never rounded, in [0, 255]."""
    top, left, height, width = crop
    whole = [tf.io.decode_jpeg(jpeg, channels=3).numpy().astype(float) for jpeg in jpegs]
    clip = np.stack([bilinear(one[top : top + height, left : left + width], SIZE) for one in whole])
    clip = clip[:, :, ::-1] if mirrored else clip
    turn, brightness, contrast = color[:, :3], color[0, 3], color[0, 4]
    brighter = clip + 255 * brightness
    mean = brighter[:, ::8, ::8].mean(axis=(0, 1, 2))
    mixed = contrast * brighter + (1 - contrast) * mean
    return np.clip(mixed @ turn.T, 0, 255)


def color_of(seed):
    return augmentation.color_change(tf.constant([3, seed])).numpy()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("crop", [(5, 7, 40, 37), (0, 0, 48, 64), (20, 30, 11, 9)])
@pytest.mark.parametrize("seed", [None, 1, 3, 5])
def test_a_clip_is_cut_resized_mirrored_and_recolored(mirrored, crop, seed):
    jpegs = [records.jpeg(40 + 50 * n, HEIGHT, WIDTH, noise=35) for n in range(4)]
    color = augmentation.NO_COLOR_CHANGE if seed is None else color_of(seed)
    found = np.full((4, SIZE, SIZE, 3), np.nan, np.float32)
    shape = np.array([HEIGHT, WIDTH], np.int32)
    plan = np.array(jpegs, object), shape, np.array(crop, np.int32), mirrored, color
    pixels.clip_pixels(*plan, found)
    assert found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(255 * found, np.round(255 * found), atol=1e-4)
    expected = expected_clip(jpegs, crop, mirrored, color)
    difference = np.abs(255 * found - expected).max(axis=(0, 1, 2))
    # The color change multiplies the error of a byte, and the result is rounded.
    gain = np.abs(color[0, 4] * color[:, :3]).sum(axis=1)
    bound = RESIZED if seed is None else RESIZED * gain + ROUNDED
    assert (difference <= bound).all(), (difference, bound)


def test_a_frame_of_another_size_is_told():
    frames = np.array([records.jpeg(9, 24, 32), records.jpeg(9, 20, 32)], object)
    plan = frames, np.array([24, 32]), np.array([0, 0, 20, 20]), False
    result = np.zeros((2, 8, 8, 3), np.float32)
    with pytest.raises(ValueError, match="frame 1 is 32 x 20, but the first is 32 x 24"):
        pixels.clip_pixels(*plan, augmentation.NO_COLOR_CHANGE, result)
