# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How much cheaper a deflated network is than the video network on static clips."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.agreement import static_clips
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.probes import replaced_calls
from mmv_tf.graphs import EmbeddingGraph

_MULTIPLYING = (keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)


def measure_speed(
    model: Any,
    image_model: ImageEncoder,
    images: np.ndarray,
    num_frames: int,
    rounds: int = 20,
) -> dict[str, float]:
    """Medians of interleaved runs on the same images, first runs left out.

    Args:
      model, image_model: the pair.
      images: float32 [B, H, W, C].
      num_frames: of the static clips.
      rounds: runs of each.

    Returns:
      "image_seconds", "clip_seconds", "ratio" (of the two), "multiplications_ratio" (of their
      multiplications in convolutions and dense layers), "num_frames", "batch".
    """
    clips = static_clips(tf.constant(images), num_frames)
    inputs = tf.constant(images)
    run_clip = tf.function(lambda x: _call(model, x), autograph=False)
    run_image = tf.function(lambda x: image_model(x), autograph=False)
    seconds: dict[str, list[float]] = {"clip": [], "image": []}
    for _ in range(rounds + 2):
        for name, run, x in (("clip", run_clip, clips), ("image", run_image, inputs)):
            start = time.perf_counter()
            keras.tree.flatten(run(x))[0].numpy()
            seconds[name].append(time.perf_counter() - start)
    clip, image = (float(np.median(seconds[name][2:])) for name in ("clip", "image"))
    in_clip = count_multiplications(model, lambda: _call(model, clips))
    in_image = count_multiplications(image_model, lambda: image_model(inputs))
    return {
        "image_seconds": image,
        "clip_seconds": clip,
        "ratio": clip / image,
        "multiplications_ratio": in_clip / in_image,
        "num_frames": num_frames,
        "batch": len(images),
    }


def count_multiplications(model: Any, run: Callable[[], Any]) -> int:
    """Multiplications in a network's convolutions and dense layers during one call.

    Args:
      model: the network.
      run: calls it, eagerly, so that all sizes are known.
    """
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, _MULTIPLYING)
    ]
    total = 0

    def count(index: int, call: Callable[..., Any]) -> Callable[..., Any]:
        # Each output takes as many as the kernel has weights for its filter.
        each = int(np.prod(layers[index].kernel.shape[:-1]))

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal total
            outputs = call(*args, **kwargs)
            total += int(tf.size(outputs)) * each
            return outputs

        return wrapped

    with replaced_calls(layers, count):
        run()
    return total


def _call(model: Any, clips: tf.Tensor) -> Any:
    if isinstance(model, EmbeddingGraph):
        return model({"video": clips})["video"]
    return model(clips, training=False)
