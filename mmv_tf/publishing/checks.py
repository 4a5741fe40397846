# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks a signature's input with operations in the graph."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from mmv_tf.data.reading.value_checks import RANGE_TOLERANCE as RANGE_TOLERANCE

MIN_SIDE = 32  # pixels; the smallest input of the backbones
MAX_TEXT_BYTES = 10_000  # of one sentence; ours, far above any caption


def checked(name: str, tensor: tf.Tensor) -> tf.Tensor:
    """Return the tensor guarded by assertions that fail with an InvalidArgumentError.

    Args:
      name: the signature: "video", "image", "audio", "text" or "video_jpeg".
      tensor: its input.
    """
    # Called by position, a SavedModel's signature accepts any shape, whatever it declares.
    tensor = tf.ensure_shape(tensor, tensor.shape, name=f"shape_of_{name}")
    with tf.control_dependencies(_CHECKS[name](name, tensor)):
        return tf.identity(tensor)


def _check_pixels(name: str, pixels: tf.Tensor) -> list[tf.Operation]:
    shape = tf.shape(pixels)
    return [
        *_check_range(name, pixels, 0.0, 1.0, "Divide 8-bit colors by 255."),
        tf.debugging.Assert(
            tf.reduce_all(shape[1:] > 0) & tf.reduce_all(shape[-3:-1] >= MIN_SIDE),
            [
                f"{name} needs a height and width of {MIN_SIDE} or more; its shape is",
                shape,
            ],
            summarize=8,
        ),
    ]


def _check_waveform(name: str, waveform: tf.Tensor) -> list[tf.Operation]:
    return [
        *_check_range(name, waveform, -1.0, 1.0, "Divide 16-bit samples by 32768."),
        tf.debugging.Assert(
            tf.shape(waveform)[1] > 0, [f"{name} has no samples; its shape is", tf.shape(waveform)]
        ),
    ]


def _check_range(
    name: str, tensor: tf.Tensor, low: float, high: float, hint: str
) -> list[tf.Operation]:
    least, most = tf.reduce_min(tensor), tf.reduce_max(tensor)
    finite = tf.reduce_all(tf.math.is_finite(tensor))
    inside = (least >= low - RANGE_TOLERANCE) & (most <= high + RANGE_TOLERANCE)
    return [
        tf.debugging.Assert(finite, [f"{name} has values that aren't finite (NaN, infinity)."]),
        # An empty tensor has no minimum; another check refuses its shape.
        tf.debugging.Assert(
            inside | ~finite | (tf.size(tensor) == 0),
            [
                f"{name} must be in [{low:g}, {high:g}]. {hint} Its range is",
                least,
                most,
            ],
        ),
    ]


def _check_text(name: str, text: tf.Tensor) -> list[tf.Operation]:
    bare = tf.strings.length(tf.strings.strip(text))
    return [
        tf.debugging.Assert(
            tf.reduce_all(bare > 0),
            [f"{name} has an empty sentence; its rows are", tf.where(bare < 1)[:, 0]],
        ),
        tf.debugging.Assert(
            tf.reduce_all(bare <= MAX_TEXT_BYTES),
            [f"{name} has a sentence of over {MAX_TEXT_BYTES} bytes."],
        ),
    ]


def known_words(name: str, text: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """Return sentences guarded by an assertion that each contains a known word.

    Args:
      name: the signature.
      text: its input.
      known: booleans [B], see `WordTokenizer.knows`.
    """
    check = tf.debugging.Assert(
        tf.reduce_all(known),
        [
            f"{name} has sentences without a word that the network knows, which would all get "
            "the same embedding; use other words (stop words don't count). The rows are",
            tf.where(~known)[:, 0],
            "with",
            tf.boolean_mask(text, ~known),
        ],
    )
    with tf.control_dependencies([check]):
        return tf.identity(text)


def _check_jpeg(name: str, frames: tf.Tensor) -> list[tf.Operation]:
    return [
        tf.debugging.Assert(
            tf.shape(frames)[1] > 0, [f"{name} has no frames; its shape is", tf.shape(frames)]
        )
    ]


_CHECKS: dict[str, Callable[[str, tf.Tensor], list[tf.Operation]]] = {
    "video": _check_pixels,
    "image": _check_pixels,
    "audio": _check_waveform,
    "text": _check_text,
    "video_jpeg": _check_jpeg,
}
