# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One clip's pixels by libjpeg-turbo and OpenCV, on NumPy arrays.

A frame goes from JPEG to floats while it stays in a core's cache, and as bytes until the last step;
TensorFlow's operations move whole clips of floats through memory, one after the other.
"""

from __future__ import annotations

import importlib

import numpy as np
import tensorflow as tf

from mmv_tf.data import augmentation, frames

# Module -> package.
_NEEDED = {"simplejpeg": "simplejpeg", "cv2": "opencv-python-headless"}


def check_installed() -> None:
    """Imports what is needed.

    Raises:
      ValueError: it is not installed.
    """
    missing = []
    for module, package in _NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(package)
    if missing:
        raise ValueError(
            f"data.pixels=opencv needs {' and '.join(missing)}; install mmv_tf[fast], or set "
            "data.pixels=tensorflow."
        )


def clip_pixels(
    encoded: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: bool,
    colour: np.ndarray,
    result: np.ndarray,
) -> None:
    """Makes one clip's pixels.

    Args:
      encoded, shape, crop, mirrored, colour: see `pixel_plans.Plan`.
      result: float32 [T, size, size, 3], contiguous; it is filled.

    Raises:
      ValueError: a frame can't be decoded, or has another shape.
    """
    import cv2

    # The resized bytes lie in the last quarter of the floats' own memory, so that no more is
    # touched: the floats of a frame end where the bytes of the next one begin, or before.
    resized = result.reshape(-1).view(np.uint8)[-result.size :].reshape(result.shape)
    _resize_windows(encoded, shape, crop, resized)
    change = _change_of_bytes(colour, resized, mirrored)
    changed, turned = np.empty_like(resized[0]), np.empty_like(resized[0])
    for frame, floats in zip(resized, result, strict=True):
        if change is not None:
            frame = cv2.transform(frame, change, dst=changed)
        if mirrored:
            frame = cv2.flip(frame, 1, dst=turned)
        # Converting while multiplying takes NumPy half as long again as one after the other.
        np.copyto(floats, frame)
        np.multiply(floats, np.float32(1 / 255), out=floats)


def _resize_windows(
    encoded: np.ndarray, shape: np.ndarray, crop: np.ndarray, resized: np.ndarray
) -> None:
    """Decodes every frame and resizes its window, bilinear, into `resized`, uint8 [T, H, W, 3]."""
    import cv2
    import simplejpeg

    top, left, height, width = crop.tolist()
    size = resized.shape[2], resized.shape[1]
    decoded = np.empty((*shape, 3), np.uint8)
    for number, jpeg in enumerate(encoded):
        try:
            # The inverse DCT that TensorFlow uses if nothing is said: the bytes are the same. A
            # larger frame does not fit, which is an error before anything is decoded.
            frame = simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, buffer=decoded)
        except ValueError:
            window = _window_by_tensorflow(jpeg, crop, number)
        else:
            if frame.shape != decoded.shape:
                raise ValueError(
                    f"frame {number} is {frame.shape[1]} x {frame.shape[0]}, the first is "
                    f"{shape[1]} x {shape[0]}"
                )
            window = frame[top : top + height, left : left + width]
        cv2.resize(window, size, dst=resized[number], interpolation=cv2.INTER_LINEAR)


def _window_by_tensorflow(jpeg: bytes, crop: np.ndarray, number: int) -> np.ndarray:
    """A window of a JPEG that libjpeg-turbo complains of.

    TensorFlow takes some of them, such as those with a few bytes too many. What is damage must not
    depend on who makes the pixels.
    """
    try:
        return frames.decode_window(tf.constant([jpeg]), tf.constant(crop))[0].numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"frame {number} can't be decoded") from error


def _change_of_bytes(colour: np.ndarray, clip: np.ndarray, mirrored: bool) -> np.ndarray | None:
    """A change of colours as float32 [3, 4] from bytes to bytes; None if it changes nothing.

    Args:
      colour: see `pixel_plans.Plan`.
      clip: uint8 [T, H, W, 3], not yet mirrored; of its mean colour, those pixels are looked at
        that `augmentation.jitter_colour` looks at once it is.
      mirrored: see `pixel_plans.Plan`.
    """
    import cv2

    if np.array_equal(colour, augmentation.NO_COLOUR_CHANGE):
        return None
    step = augmentation.MEAN_STEP
    seen = clip[:, ::step, :: -step if mirrored else step]
    mean = np.array(cv2.mean(np.ascontiguousarray(seen).reshape(-1, 1, 3))[:3])
    turn, brightness, contrast = colour[:, :3].astype(float), colour[0, 3], colour[0, 4]
    offset = turn @ (255 * brightness + (1 - contrast) * mean)
    return np.concatenate([contrast * turn, offset[:, np.newaxis]], axis=1).astype(np.float32)
