# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Times training steps of the S3D-G video backbone, a FAC model, and PyTorch's S3D-G.

  python -m benchmarks.train_step --torch_python=PATH            # a Python that has torch and numpy
  python -m benchmarks.train_step --dtype=bfloat16 --torch_python=PATH

Runs forward, backward and SGD on [4, 16, 112, 112, 3], without reading data. All models take their
steps in turn; PyTorch uses the fastest of its layouts, eager or, if compilation finishes, compiled.
Prints one line of JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from absl import app, flags

from benchmarks.fac import fac_batch, fac_config
from benchmarks.measure import interleaved, peak_bytes, print_result, rounded
from benchmarks.peer import INSTALL_HINT, Peer, PeerError, fastest, find_torch, forms
from mmv_tf import backbones, training
from mmv_tf.losses import Objective
from mmv_tf.pretrained import create_model
from mmv_tf.training.train_step import TrainStep

_TORCH = flags.DEFINE_string("torch_python", "", "A Python that has torch and numpy.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the computation.")
_STEPS = flags.DEFINE_integer("steps", 5, "Measured steps of each model.", lower_bound=1)
_CLIPS = flags.DEFINE_integer("batch_size", 4, "Clips per batch.", lower_bound=2)
_FRAMES = flags.DEFINE_integer("num_frames", 16, "Frames per clip.", lower_bound=2)
_SIZE = flags.DEFINE_integer("size", 112, "Height and width.", lower_bound=32)
_FAC = flags.DEFINE_bool("fac", True, "Also measure the whole FAC model.")
_COMPILED = flags.DEFINE_bool("compiled", True, "Also try torch.compile, which takes minutes.")
_THREADS = flags.DEFINE_integer("threads", 0, "Threads; 0 for one per core.", lower_bound=0)

_LEARNING_RATE = 1e-3


def _descend(weight: tf.Variable, gradient: tf.Tensor, rate: Any) -> None:
    """Perform TensorFlow's own SGD step, in one pass like PyTorch's."""
    rate = tf.cast(rate, weight.dtype)
    tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=gradient)


class SGD(keras.optimizers.SGD):
    """SGD in one pass; Keras' SGD multiplies and subtracts in two passes."""

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        _descend(variable, gradient, learning_rate)


def tower_step() -> tuple[Callable[[], Any], int]:
    """Return a training step of the video backbone, and its number of weights."""
    model = backbones.S3D(stem="space_to_depth", dtype=_policy(), bfloat16_from="Conv2d_1a_7x7")
    model.build()
    weights = [variable.value for variable in model.trainable_variables]
    clips = tf.random.stateless_uniform(_shape(), [0, 0])

    @tf.function(autograph=False)
    def step(clips: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(model(clips, training=True), tf.float32)))
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            _descend(weight, gradient, _LEARNING_RATE)
        return loss

    return lambda: step(clips).numpy(), sum(weight.shape.num_elements() for weight in weights)


def fac_step() -> Callable[[], Any]:
    """Return a training step of the whole model, as in the training loop."""
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = create_model(fac_config(_policy()))
        optimizer = SGD(_LEARNING_RATE)
        optimizer.build(model.trainable_variables)
    objective = Objective({"va": 1.0, "vt": 1.0})
    step = TrainStep(model, objective, strategy, optimizer, training.default_config())
    batch = fac_batch(_shape())
    flags_ = tf.zeros([2])
    return lambda: step(batch, flags_).numpy()


def _policy() -> str:
    return "mixed_bfloat16" if _DTYPE.value == "bfloat16" else "float32"


def start_torch() -> tuple[Peer | None, dict[str, Any]]:
    """Return PyTorch's fastest variant, and the times of all variants; None without PyTorch."""
    python = find_torch(_TORCH.value)
    if not python:
        print(f"no PyTorch: {INSTALL_HINT}", file=sys.stderr)
        return None, {}
    options = {"dtype": _DTYPE.value, "threads": _THREADS.value}
    options["shape"] = ",".join(map(str, _shape()[:-1]))
    return fastest(python, options, forms(_COMPILED.value))


def _shape() -> list[int]:
    return [_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value, 3]


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    if _THREADS.value:
        tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    try:
        torch, tried = start_torch()
    except PeerError as error:
        sys.exit(f"error: {error}")
    peak = {"imports": peak_bytes()}
    tower, weights = tower_step()
    for _ in range(3):
        tower()
    peak["tower"] = peak_bytes()  # before anything else is loaded in this process
    runs: dict[str, Callable[[], Any]] = {"tower": tower}
    if torch is not None:
        runs["torch"] = torch
    if _FAC.value:
        runs["fac"] = fac_step()
    times = interleaved(runs, _STEPS.value)
    figures: dict[str, Any] = {
        "weights": weights,
        "clips_per_second": {n: rounded(_CLIPS.value / t.seconds) for n, t in times.items()},
    }
    if "fac" in times:
        figures["fac_over_tower"] = rounded(times["fac"].seconds / times["tower"].seconds)
    if torch is not None:
        figures["over_torch"] = rounded(times["torch"].seconds / times["tower"].seconds)
        figures["cpu_over_torch"] = rounded(times["torch"].cpu_seconds / times["tower"].cpu_seconds)
        figures["torch"] = {**torch.about, **torch.options, "tried_seconds": tried}
        peak["torch"] = torch.peak_bytes
        # Memory of the whole process, and of the step in addition to the libraries.
        figures["process_bytes_over_torch"] = rounded(peak["tower"] / peak["torch"])
        added = peak["tower"] - peak["imports"]
        figures["step_bytes_over_torch"] = rounded(
            added / (peak["torch"] - torch.about["import_bytes"])
        )
        torch.close()
    inputs = {"dtype": _DTYPE.value, "shape": _shape()}
    print_result("train_step", inputs, times, _THREADS.value, peak_bytes=peak, **figures)


if __name__ == "__main__":
    app.run(main)
