# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How much cheaper a deflated network is than the video network on static clips."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.agreement import static_clips
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.memory import peak_memory
from mmv_tf.graphs import EmbeddingGraph


def measure_speed(
    model: Any,
    image_model: ImageEncoder,
    images: np.ndarray,
    num_frames: int,
    rounds: int = 20,
) -> dict[str, float]:
    """Medians of interleaved runs on the same images.

    In a round the clips are run once and the images as often as, by their multiplications, takes
    half that time, after one run that does not count: weights that the clips drove out of the cache
    are back in it. A whole round before the others does not count either.

    Args:
      model, image_model: the pair.
      images: float32 [B, H, W, C].
      num_frames: of the static clips.
      rounds: runs of each.

    Returns:
      "image_seconds", "clip_seconds", "ratio" (of the two); "image_cpu_seconds",
      "clip_cpu_seconds", "cpu_ratio" the same in this process' processor time, which other
      programs on the machine disturb less; "image_multiplications", "clip_multiplications" (of
      convolutions and matrix products), "multiplications_ratio"; "image_bytes", "clip_bytes",
      "bytes_ratio" of what a pass has in memory at most besides weights and inputs (see
      `peak_memory`; left out where that can't be told); "num_frames", "batch".
    """
    clips = static_clips(tf.constant(images), num_frames)
    inputs = tf.constant(images)
    run_clip = tf.function(lambda x: _call(model, x), autograph=False).get_concrete_function(clips)
    run_image = tf.function(image_model, autograph=False).get_concrete_function(inputs)
    counts = {
        "clip": count_multiplications(run_clip),
        "image": count_multiplications(run_image),
    }
    repeats = max(1, counts["clip"] // counts["image"] // 2)
    seconds: dict[str, list[tuple[float, float]]] = {"clip": [], "image": []}
    for _ in range(rounds + 1):
        seconds["clip"].append(_seconds(run_clip, clips, 1))
        _seconds(run_image, inputs, 1)
        seconds["image"].append(_seconds(run_image, inputs, repeats))
    results: dict[str, float] = {"num_frames": num_frames, "batch": len(images)}
    for name, found in seconds.items():
        wall, cpu = np.median(found[1:], axis=0)
        results[f"{name}_seconds"], results[f"{name}_cpu_seconds"] = float(wall), float(cpu)
        results[f"{name}_multiplications"] = counts[name]
    for part, name in (("", "seconds"), ("cpu_", "cpu_seconds")):
        results[f"{part}ratio"] = results[f"clip_{name}"] / results[f"image_{name}"]
    results["multiplications_ratio"] = counts["clip"] / counts["image"]
    clip_bytes, image_bytes = peak_memory(run_clip, clips), peak_memory(run_image, inputs)
    if clip_bytes and image_bytes:
        results |= {"clip_bytes": clip_bytes, "image_bytes": image_bytes}
        results["bytes_ratio"] = clip_bytes / image_bytes
    return results


def count_multiplications(function: Any) -> int:
    """Multiplications in the convolutions and matrix products of a concrete function.

    Padding is multiplied with too, as in TensorFlow's kernels.

    Raises:
      ValueError: if a size is not known, or a part is hidden in a function of its own.
    """
    total = 0
    for operation in function.graph.get_operations():
        if operation.type in ("Conv2D", "Conv3D", "DepthwiseConv2dNative"):
            each = operation.inputs[1].shape[:-1].num_elements()  # of a grouped kernel too
            if operation.type == "DepthwiseConv2dNative":
                each = operation.inputs[1].shape[:2].num_elements()
        elif operation.type in ("MatMul", "BatchMatMulV2"):
            turned = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
            each = operation.inputs[0].shape[-2 if turned else -1]
        elif operation.type in ("PartitionedCall", "StatefulPartitionedCall", "Einsum"):
            raise ValueError(f"{operation.name} is a {operation.type}: it can't be counted.")
        else:
            continue
        outputs = operation.outputs[0].shape.num_elements()
        if outputs is None or each is None:
            raise ValueError(f"{operation.name} has sizes that are not known.")
        total += outputs * each
    return total


def _seconds(run: Any, inputs: tf.Tensor, repeats: int) -> tuple[float, float]:
    """Wall and processor time of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        keras.tree.flatten(run(inputs))[0].numpy()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats


def _call(model: Any, clips: tf.Tensor) -> Any:
    if isinstance(model, EmbeddingGraph):
        return model({"video": clips})["video"]
    return model(clips, training=False)
