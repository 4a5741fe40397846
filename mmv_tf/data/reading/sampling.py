# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Draws the moment of a clip that an example shows: one offset for all modalities."""

from __future__ import annotations

import tensorflow as tf


def window_starts(
    stored_frames: tf.Tensor, span: int, windows: int, seed: tf.Tensor | None
) -> tf.Tensor:
    """First frames of the windows to take from a clip.

    Args:
      stored_frames: int scalar, frames that the clip has.
      span: frames from a window's first to just after its last.
      windows: how many.
      seed: int [2] for windows drawn at random and uniformly; None for windows spread evenly from
        the clip's first frame to its last (one window: the middle).

    Returns:
      int32 [windows]. A clip shorter than `span` gives zeros; see `frame_indices`.
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
    """Which stored frames windows show.

    Args:
      start: int32 [...], first frames.
      num_frames: of a window.
      stride: stored frames from one frame to the next. One that is not whole takes the stored
        frame nearest in time, halfway the later one.
      stored_frames: int scalar, how many there are.
      loop: past the last one the first one follows; if not, the last one repeats.

    Returns:
      int32 [..., num_frames].
    """
    steps = tf.constant([int(n * stride + 0.5) for n in range(num_frames)], tf.int32)
    indices = start[..., tf.newaxis] + steps
    return indices % stored_frames if loop else tf.minimum(indices, stored_frames - 1)


def nearest_candidates(
    centre: tf.Tensor,
    starts: tf.Tensor,
    ends: tf.Tensor,
    candidates: int,
    first: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The narrations nearest in time to moments: MIL-NCE's candidates (PAPER section 2).

    The distance is to the narration's middle; of equally near ones the earlier comes first.

    Args:
      centre: float [...], seconds.
      starts, ends: float [N], seconds, in order of start.
      candidates: how many to return, P.
      first: bool [N], narrations that come before the others, however far they are.

    Returns:
      Indices int32 [..., P], nearest first, and booleans [..., P]: false where there are fewer
      than P, and then the index is 0.
    """
    count = tf.shape(starts)[0]
    distance = tf.abs((starts + ends) / 2 - centre[..., tf.newaxis])
    found = tf.minimum(count, candidates)
    if first is not None:
        largest = tf.reduce_max(distance, axis=-1, keepdims=True)
        distance = tf.where(first, distance, distance + largest + 1.0)
    order = tf.argsort(distance, stable=True)[..., :found]
    padding = [[0, 0]] * (order.shape.rank - 1) + [[0, candidates - found]]
    return tf.pad(order, padding), tf.pad(tf.ones_like(order, tf.bool), padding)
