# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Samples an example's time window, with one offset for all modalities."""

from __future__ import annotations

import tensorflow as tf


def window_starts(
    stored_frames: tf.Tensor, span: int, windows: int, seed: tf.Tensor | None
) -> tf.Tensor:
    """Return the first frames of a clip's windows.

    Args:
      stored_frames: int scalar, number of frames in the clip.
      span: number of frames from a window's first frame to just after its last.
      windows: number of windows.
      seed: int [2] for uniformly random windows; None for windows spaced evenly from the clip's
        first frame to its last (a single window is in the middle).

    Returns:
      int32 [windows]; zeros for a clip shorter than `span`, see `frame_indices`.
    """
    last = tf.maximum(stored_frames - span, 0)
    if seed is not None:
        return tf.random.stateless_uniform([windows], seed, 0, last + 1, tf.int32)
    if windows == 1:
        return tf.reshape(last // 2, [1])
    places = tf.linspace(0.0, tf.cast(last, tf.float32), windows)
    return tf.cast(tf.round(places), tf.int32)


def frame_indices(
    start: tf.Tensor,
    num_frames: int,
    stride: float,
    stored_frames: tf.Tensor,
    loop: bool = False,
) -> tf.Tensor:
    """Return the indices of the stored frames in windows.

    Args:
      start: int32 [...], first frames of the windows.
      num_frames: number of frames in a window.
      stride: stored frames from one frame to the next. A fractional stride takes the nearest stored
        frame, and the later one at the midpoint.
      stored_frames: int scalar, number of stored frames.
      loop: whether to continue with the first frame after the last; otherwise the last one repeats.

    Returns:
      int32 [..., num_frames].
    """
    steps = tf.constant([int(n * stride + 0.5) for n in range(num_frames)], tf.int32)
    indices = start[..., tf.newaxis] + steps
    return indices % stored_frames if loop else tf.minimum(indices, stored_frames - 1)


def nearest_candidates(
    center: tf.Tensor,
    starts: tf.Tensor,
    ends: tf.Tensor,
    candidates: int,
    first: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the narrations nearest in time: the candidates of MIL-NCE (Miech et al., 2020).

    The distance is measured to the narration's middle; on a tie, the earlier one comes first.

    Args:
      center: float [...], times in seconds.
      starts, ends: float [N], times of the narrations in seconds, ordered by start.
      candidates: number of narrations to return, P.
      first: bool [N], narrations that precede the others at any distance.

    Returns:
      Indices int32 [..., P], nearest first, and booleans [..., P]; where there are fewer than P
      narrations, the boolean is false and the index 0.
    """
    count = tf.shape(starts)[0]
    distance = tf.abs((starts + ends) / 2 - center[..., tf.newaxis])
    found = tf.minimum(count, candidates)
    if first is not None:
        largest = tf.reduce_max(distance, axis=-1, keepdims=True)
        distance = tf.where(first, distance, distance + largest + 1.0)
    order = tf.argsort(distance, stable=True)[..., :found]
    padding = [[0, 0]] * (order.shape.rank - 1) + [[0, candidates - found]]
    return tf.pad(order, padding), tf.pad(tf.ones_like(order, tf.bool), padding)
