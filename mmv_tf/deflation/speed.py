# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How much faster a deflated network is than the video network on static clips."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf

from mmv_tf.deflation.fit import static_clips
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph


def measure_speed(
    model: EmbeddingGraph,
    image_model: ImageEncoder,
    images: np.ndarray,
    num_frames: int,
    rounds: int = 20,
) -> dict[str, float]:
    """Medians of interleaved runs on the same images, first runs left out.

    Args:
      model, image_model: the pair.
      images: float32 [B, H, W, 3].
      num_frames: of the static clips.
      rounds: runs of each.

    Returns:
      "image_seconds", "clip_seconds", "ratio" (of the two), "num_frames", "batch".
    """
    clips = static_clips(tf.constant(images), num_frames)
    inputs = tf.constant(images)
    run_clip = tf.function(lambda: model({"video": clips})["video"], autograph=False)
    run_image = tf.function(lambda: image_model(inputs), autograph=False)
    seconds: dict[str, list[float]] = {"clip": [], "image": []}
    for _ in range(rounds + 2):
        for name, run in (("clip", run_clip), ("image", run_image)):
            start = time.perf_counter()
            run()["before_head"].numpy()
            seconds[name].append(time.perf_counter() - start)
    clip, image = (float(np.median(seconds[name][2:])) for name in ("clip", "image"))
    return {
        "image_seconds": image,
        "clip_seconds": clip,
        "ratio": clip / image,
        "num_frames": num_frames,
        "batch": len(images),
    }
