# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics for a deflated model: agreement with the original, speed and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph


def peak_memory(run: Callable[[tf.Tensor], Any], inputs: tf.Tensor) -> int | None:
    """Return the peak number of bytes that TensorFlow's allocator adds during a call.

    The peak covers results and scratch space: weights and inputs exist before the call. The
    resident memory of the process is less accurate, because the allocator keeps freed memory for
    later use.

    Args:
      run: a traced function; it is called twice, since the first call may allocate lasting buffers.
      inputs: its argument; determines the device.

    Returns:
      The bytes, or None if the device's allocator does not count them.
    """
    device = ":".join(inputs.device.split(":")[-2:])
    run(inputs)
    try:
        before = tf.config.experimental.get_memory_info(device)["current"]
        tf.config.experimental.reset_memory_stats(device)
    except ValueError:
        return None
    outputs = run(inputs)
    keras.tree.map_structure(lambda value: value.numpy(), outputs)
    return tf.config.experimental.get_memory_info(device)["peak"] - before or None


def measure_speed(
    model: Any,
    image_model: ImageEncoder,
    images: np.ndarray,
    num_frames: int,
    rounds: int = 20,
) -> dict[str, float]:
    """Return medians of interleaved runs on the same images.

    A round runs the clips once, then the images once untimed, to bring back weights that the clips
    evicted from the cache, and then the images for half the clips' time, estimated from the number
    of multiplications. A complete first round is not counted.

    Args:
      model, image_model: the video model and its deflated model.
      images: float32 [B, H, W, C].
      num_frames: length of the static clips.
      rounds: number of timed rounds.

    Returns:
      "image_seconds", "clip_seconds" and their "ratio"; "image_cpu_seconds", "clip_cpu_seconds" and
      "cpu_ratio", the same in CPU time of this process, which is less affected by other programs;
      "image_multiplications", "clip_multiplications" (in convolutions and matrix products) and
      "multiplications_ratio"; "image_bytes", "clip_bytes" and "bytes_ratio": peak memory of a pass
      beyond weights and inputs (see `peak_memory`; omitted if unknown); "num_frames"; "batch".
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
    """Count multiplications in the convolutions and matrix products of a concrete function.

    Multiplications by padding count, because TensorFlow's kernels execute them.

    Raises:
      ValueError: a size is unknown, or a part is hidden in a nested function.
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
            raise ValueError(
                f"{operation.name} is a {operation.type}, whose multiplications can't be counted."
            )
        else:
            continue
        outputs = operation.outputs[0].shape.num_elements()
        if outputs is None or each is None:
            raise ValueError(f"{operation.name} has unknown sizes.")
        total += outputs * each
    return total


def _seconds(run: Any, inputs: tf.Tensor, repeats: int) -> tuple[float, float]:
    """Return the wall and CPU time of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        keras.tree.flatten(run(inputs))[0].numpy()
    return (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats


def _call(model: Any, clips: tf.Tensor) -> Any:
    if isinstance(model, EmbeddingGraph):
        return model({"video": clips})["video"]
    return model(clips, training=False)


def static_clips(images: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Repeat images [B, H, W, C] as static clips [B, T, H, W, C]."""
    return tf.repeat(images[:, tf.newaxis], num_frames, axis=1)


def static_features(model: Any, images: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Return a video model's `before_head` [B, d] for static clips of images [B, H, W, C]."""
    return model({"video": static_clips(images, num_frames)})["video"]["before_head"]


def agreement(features: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return how close features are to targets, both float [N, d].

    Returns:
      "l1" (mean absolute difference), "cosine" (mean over rows), "relative_error" (norm of the
      difference over the norm of the targets).
    """
    difference = features - targets
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(targets, axis=1)
    cosine = (features * targets).sum(axis=1) / np.maximum(lengths, 1e-12)
    return {
        "l1": float(np.abs(difference).mean()),
        "cosine": float(cosine.mean()),
        "relative_error": float(
            np.linalg.norm(difference) / np.maximum(np.linalg.norm(targets), 1e-12)
        ),
    }
