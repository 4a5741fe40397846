# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""JPEG frames to pixels, in the graph: what the signature "video_jpeg" begins with."""

from __future__ import annotations

import tensorflow as tf

from mmv_tf.data import augmentation

# A frame of 200 bytes may claim 65,535 pixels a side and so 13 GB: the header is read first. Ours.
MAX_PIXELS = 4096 * 4096


def decode_clips(frames: tf.Tensor, size: int, square: bool) -> tf.Tensor:
    """JPEG frames, string [B, T], -> float32 [B, T, size, size, 3] in [0, 1].

    A frame of exactly `size` x `size` pixels is taken as it is. Another is cut and resized as the
    reader does for evaluation (`augmentation.crop_window`), each frame by itself.

    Args:
      frames: the files' bytes.
      size: pixels a side.
      square: see `augmentation.crop_window`.

    Raises:
      InvalidArgumentError: when run: a frame is no JPEG, is broken, or has too many pixels.
    """

    def decode(frame: tf.Tensor) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(frame)  # fails on what is not a JPEG
        height, width = shape[0], shape[1]
        fits = tf.cast(height, tf.int64) * tf.cast(width, tf.int64) <= MAX_PIXELS
        big = tf.debugging.Assert(
            fits & (height > 0) & (width > 0),
            [
                f"A JPEG frame may have {MAX_PIXELS} pixels; its height, width and colours are",
                shape,
            ],
        )
        with tf.control_dependencies([big]):
            window = augmentation.crop_window(height, width, None, 0.0, square)
            ready = (height == size) & (width == size)
            window = tf.where(ready, tf.stack([0, 0, height, width]), window)
        pixels = tf.image.decode_and_crop_jpeg(frame, window, channels=3)
        resized = tf.image.resize(pixels, [size, size])
        return tf.ensure_shape(resized, [size, size, 3])

    flat = tf.map_fn(
        decode,
        tf.reshape(frames, [-1]),
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
        parallel_iterations=2,  # each may hold a decoded frame of MAX_PIXELS
    )
    shape = tf.concat([tf.shape(frames), [size, size, 3]], axis=0)
    return tf.reshape(flat, shape) / 255.0
