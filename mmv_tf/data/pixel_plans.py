# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pixels that are made for a whole batch, outside of TensorFlow's graph.

Until its batch is there, an example holds its JPEGs and what was drawn in the graph: a plan. The
graph calls Python to carry plans out, so it works in this process only.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from mmv_tf.data import opencv_pixels, python_calls
from mmv_tf.data.damage import MESSAGE_END, UNSURE_START
from mmv_tf.data.interfaces import Example


class Plan:
    """Keys of an example that say how its pixels are made; "video" takes their place.

    FRAMES: string [T], JPEGs.
    SHAPE: int32 [2], height and width of every frame.
    CROP: int32 [4], the window of them that is shown: [top, left, height, width].
    MIRRORED: bool.
    COLOUR: float32 [3, 5], see `augmentation.colour_change`.
    SHARD: string, where the record is from.
    """

    FRAMES, SHAPE, CROP, MIRRORED = "frames", "shape", "crop", "mirrored"
    COLOUR, SHARD = "colour", "shard"
    KEYS = (FRAMES, SHAPE, CROP, MIRRORED, COLOUR, SHARD)


def no_plan(windows: int, num_frames: int) -> Example:
    """What stands for the plans [windows, ...] of a clip without pictures."""
    return {
        Plan.FRAMES: tf.fill([windows, num_frames], ""),
        Plan.SHAPE: tf.zeros([windows, 2], tf.int32),
        Plan.CROP: tf.zeros([windows, 4], tf.int32),
        Plan.MIRRORED: tf.zeros([windows], tf.bool),
        Plan.COLOUR: tf.zeros([windows, 3, 5]),
        Plan.SHARD: tf.fill([windows], ""),
    }


def make_video(batch: Example, size: int) -> Example:
    """Replaces a batch's plans by "video", float32 [..., T, size, size, 3] in [0, 1].

    Args:
      batch: of examples with the keys of `Plan`, "valid/video" and "example_id"; leading dimensions
        [B] or [B, windows]. Where "valid/video" is false, the pixels are zeros.
      size: rows and columns of pixels.
    """
    batch = dict(batch)
    plans = [batch.pop(key) for key in Plan.KEYS]
    encoded = plans[0]
    make = functools.partial(batch_pixels, size=size, memory=python_calls.Memory())
    # The same plans give the same pixels: with a state, iterators could not be saved.
    video = tf.numpy_function(
        make, [*plans, batch["valid/video"], batch["example_id"]], tf.float32, stateful=False
    )
    batch["video"] = tf.ensure_shape(video, [*encoded.shape, size, size, 3])
    return batch


def batch_pixels(
    encoded: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: np.ndarray,
    colour: np.ndarray,
    shard: np.ndarray,
    valid: np.ndarray,
    example_id: np.ndarray,
    *,
    size: int,
    memory: python_calls.Memory,
) -> np.ndarray:
    """The pixels of a batch of plans, made on all cores; see `make_video`.

    Raises:
      ValueError: a clip can't be decoded. It says which, in a form that `damage.explained` finds.
    """
    result = memory.array((*encoded.shape, size, size, 3))

    def make(place: python_calls.Place) -> None:
        if not valid[place]:
            result[place] = 0.0
            return
        clip = encoded[place], shape[place], crop[place], mirrored[place], colour[place]
        try:
            opencv_pixels.clip_pixels(*clip, result[place])
        except ValueError as error:
            where = f"{shard[place].decode()}, example {example_id[place].decode()}"
            raise ValueError(f"{UNSURE_START}{where}: {error}{MESSAGE_END}") from error

    if not python_calls.on_all_cores(make, list(np.ndindex(valid.shape))):
        result.fill(np.nan)
    return result
