# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares an exported video model with PyTorch, standard Keras layers and convolutions alone.

  python -m benchmarks.forward --torch_python=PATH                     # S3D-G, [1, 32, 224, 224, 3]
  python -m benchmarks.forward --architecture=tsm50 --dtype=bfloat16 --torch_python=PATH

These variants run in turn:

  ours          the "video" signature of a SavedModel on disk, batch norms folded, as a user
                calls it: checks, backbone and heads
  convolutions  only the backbone's convolutions and matrix products
  keras         S3D-G from standard Keras layers, unfolded, in a tf.function
  torch         the same network in PyTorch, folded, in the fastest variant of contiguous or
                channels last, eager or compiled

Weights are random. Prints one line of JSON.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import plain_keras
from benchmarks.measure import interleaved, print_result, rounded
from benchmarks.peer import INSTALL_HINT, PeerError, fastest, find_torch, forms
from mmv_tf import publishing
from mmv_tf.pretrained import create_model, preset_config

_NETWORKS = {"s3dg": ("s3d_fac", "Conv2d_1a_7x7"), "tsm50": ("tsm50_fac", "stem")}
_NETWORK = flags.DEFINE_enum("architecture", "s3dg", list(_NETWORKS), "Architecture.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the computation.")
_CLIPS = flags.DEFINE_integer("batch_size", 1, "Clips per batch.", lower_bound=1)
_FRAMES = flags.DEFINE_integer("num_frames", 32, "Frames per clip.", lower_bound=1)
_SIZE = flags.DEFINE_integer("size", 224, "Height and width.", lower_bound=32)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Measured rounds.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 0, "Threads; 0 for one per core.", lower_bound=0)
_TORCH = flags.DEFINE_string("torch_python", "", "A Python that has torch and numpy.")
_COMPILED = flags.DEFINE_bool(
    "compiled", True, "Also try torch.compile, which takes a minute or two."
)

_SPREAD = 0.3  # batch norm offsets: zeros would be optimized away


def make_network() -> Any:
    """Return the whole model, whose video signature is exported."""
    keras.utils.set_random_seed(0)
    preset, first = _NETWORKS[_NETWORK.value]
    config = preset_config(preset)
    if _DTYPE.value == "bfloat16":
        config.dtype, config.video.bfloat16_from = "mixed_bfloat16", first
    model = create_model(config)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name == "beta":
            variable.assign(generator.normal(0, _SPREAD, variable.shape))
    return model


def exported(model: Any, folder: str, clips: tf.Tensor) -> Callable[[], Any]:
    """Return a function that calls the loaded signature."""
    path = pathlib.Path(folder) / "saved_model"
    options = publishing.ExportOptions(
        modalities=("video",), fold_batch_norms=True, weights=_DTYPE.value
    )
    publishing.export(model, path, options=options)
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["video"]

    def run() -> None:
        signature(video=clips)["before_head"].numpy()

    run.loaded = loaded  # type: ignore[attr-defined]  # a signature does not keep its variables
    return run


def bare_convolutions(tower: Any, clips: tf.Tensor) -> Callable[[], Any]:
    """Return a function that runs only the backbone's convolutions and matrix products."""
    traced = tf.function(lambda x: tower(x, training=False), autograph=False)
    graph = traced.get_concrete_function(clips).graph
    inputs: dict[Any, tf.Variable] = {}
    kernels, plan = [], []
    for operation in graph.get_operations():
        if operation.type not in ("Conv3D", "Conv2D", "MatMul"):
            continue
        x, kernel = operation.inputs
        key = (tuple(x.shape), x.dtype)
        if key not in inputs:
            value = tf.random.stateless_uniform(x.shape, [0, 0])
            inputs[key] = tf.Variable(tf.cast(value, x.dtype))
        kernels.append(tf.Variable(tf.cast(tf.random.normal(kernel.shape), kernel.dtype)))
        strides = None if operation.type == "MatMul" else operation.get_attr("strides")
        plan.append((operation.type, inputs[key], kernels[-1], strides))

    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        corners, order = [], []
        for kind, x, kernel, strides in plan:
            with tf.control_dependencies(order):  # one at a time, as in the model
                if kind == "MatMul":
                    y = tf.matmul(x, kernel)
                else:
                    y = getattr(tf.nn, kind.lower())(x, kernel, strides, "SAME")
            order = [y.op]
            corners.append(tf.cast(tf.reshape(y[..., :1], [-1])[0], tf.float32))
        return tf.add_n(corners)

    return lambda: run().numpy()


def stock_keras(clips: tf.Tensor) -> Callable[[], Any]:
    """Return a function that runs the standard Keras model, which only exists for S3D-G."""
    model = plain_keras.make_s3dg("mixed_bfloat16" if _DTYPE.value == "bfloat16" else "float32")
    run = tf.function(lambda x: model(x, training=False), autograph=False)
    return lambda: run(clips).numpy()


def start_torch() -> tuple[Any, dict[str, Any]]:
    """Return PyTorch's fastest variant, and the times of all variants; None without PyTorch."""
    python = find_torch(_TORCH.value)
    if not python:
        print(f"no PyTorch: {INSTALL_HINT}", file=sys.stderr)
        return None, {}
    shape = (_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value)
    options = {
        "work": "forward",
        "network": _NETWORK.value,
        "dtype": _DTYPE.value,
        "shape": ",".join(map(str, shape)),
        "threads": _THREADS.value,
    }
    return fastest(python, options, forms(_COMPILED.value))


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    shape = [_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value, 3]
    clips = tf.random.stateless_uniform(shape, [0, 0])
    try:
        torch, tried = start_torch()
    except PeerError as error:
        sys.exit(f"error: {error}")
    with tempfile.TemporaryDirectory() as folder:
        model = make_network()
        runs = {"ours": exported(model, folder, clips)}
        runs["convolutions"] = bare_convolutions(model.video, clips)
        if _NETWORK.value == "s3dg":
            runs["keras"] = stock_keras(clips)
        if torch is not None:
            runs["torch"] = torch
        times = interleaved(runs, _ROUNDS.value, warm=2)
    ours = times["ours"]
    figures: dict[str, Any] = {
        "clips_per_second": {n: rounded(_CLIPS.value / t.seconds) for n, t in times.items()},
    }
    for name, other in times.items():
        if name != "ours":
            figures[f"over_{name}"] = rounded(other.seconds / ours.seconds)
            figures[f"cpu_over_{name}"] = rounded(other.cpu_seconds / ours.cpu_seconds)
    if torch is not None:
        figures["torch"] = {**torch.about, **torch.options, "tried_seconds": tried}
        torch.close()
    inputs = {"network": _NETWORK.value, "dtype": _DTYPE.value, "shape": shape}
    print_result("forward", inputs, times, _THREADS.value, **figures)


if __name__ == "__main__":
    app.run(main)
