# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A training step of the S3D-G video tower, of a whole FAC network, and of PyTorch's S3D-G.

  python -m benchmarks.train_step --torch_python=PATH            # a Python that has torch and numpy
  python -m benchmarks.train_step --dtype=bfloat16 --torch_python=PATH

Forward, backward and SGD on [4, 16, 112, 112, 3], without input. What is compared takes its steps
in turn. Prints one line of JSON: the median seconds of each, clips a second, and the ratios.
Without --torch_python there is no peer.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from absl import app, flags

from mmv_tf import backbones, training
from mmv_tf.losses import Objective
from mmv_tf.pretrained import create_model, preset_config
from mmv_tf.training.train_step import TrainStep

_TORCH = flags.DEFINE_string("torch_python", "", "A Python that has torch and numpy.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the arithmetic.")
_STEPS = flags.DEFINE_integer("steps", 5, "Steps measured of each.", lower_bound=1)
_CLIPS = flags.DEFINE_integer("clips", 4, "In a batch.", lower_bound=2)
_FRAMES = flags.DEFINE_integer("frames", 16, "In a clip.", lower_bound=2)
_SIZE = flags.DEFINE_integer("size", 112, "Height and width.", lower_bound=32)
_FAC = flags.DEFINE_bool("fac", True, "Measure the whole FAC network too.")
_THREADS = flags.DEFINE_integer("threads", 0, "Of each program; 0 for one a core.", lower_bound=0)

_LEARNING_RATE = 1e-3
# PAPER section 1: 3.2 s of sound are 150 frames of 80 bins; 5 candidates of 16 words.
_SOUND = (150, 80, 1)
_CANDIDATES, _WORDS = 5, 16


class Torch:
    """The peer, in a process of its own that takes a step when it is told to."""

    def __init__(self, python: str):
        program = pathlib.Path(__file__).with_name("torch_s3dg.py")
        shape = (_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value)
        self._process = subprocess.Popen(
            [
                python,
                str(program),
                f"--shape={','.join(map(str, shape))}",
                f"--dtype={_DTYPE.value}",
                f"--threads={_THREADS.value}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._read()
        self.peak_bytes = 0

    def __call__(self) -> float:
        """Takes a step; returns its seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._read()
        self.peak_bytes = answer["peak_bytes"]
        return answer["seconds"]

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("error: the peer ended; see its message above.")
        return json.loads(line)


def _descend(weight: tf.Variable, gradient: tf.Tensor, rate: Any) -> None:
    """TensorFlow's own step of SGD: in one pass, as PyTorch's."""
    rate = tf.cast(rate, weight.dtype)
    tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=gradient)


class SGD(keras.optimizers.SGD):
    """Keras' SGD, which multiplies in one pass and subtracts in another, in one pass."""

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        _descend(variable, gradient, learning_rate)


def tower_step() -> tuple[Callable[[], float], int]:
    """A step of the video tower; and its number of weights."""
    model = backbones.S3D(stem="space_to_depth", dtype=_policy(), bfloat16_from="Conv2d_1a_7x7")
    model.build()
    weights = [variable.value for variable in model.trainable_variables]
    clips = tf.random.stateless_uniform(
        [_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value, 3], [0, 0]
    )

    @tf.function(autograph=False)
    def step(clips: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(model(clips, training=True), tf.float32)))
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            _descend(weight, gradient, _LEARNING_RATE)
        return loss

    return _timed(lambda: step(clips)), sum(weight.shape.num_elements() for weight in weights)


def fac_step() -> Callable[[], float]:
    """A step of the whole network, as the loop takes it."""
    config = preset_config("s3d_fac")
    config.dtype = _policy()
    config.video.bfloat16_from, config.audio.bfloat16_from = "Conv2d_1a_7x7", "stem"
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = create_model(config)
        optimizer = SGD(_LEARNING_RATE)
        optimizer.build(model.trainable_variables)
    objective = Objective({"va": 1.0, "vt": 1.0})
    step = TrainStep(model, objective, strategy, optimizer, training.default_config())
    clips = _CLIPS.value
    batch = {
        "video": tf.random.stateless_uniform(
            [clips, _FRAMES.value, _SIZE.value, _SIZE.value, 3], [0, 0]
        ),
        "audio": tf.random.stateless_normal([clips, *_SOUND], [0, 1]),
        "text": tf.random.stateless_uniform(
            [clips, _CANDIDATES, _WORDS], [0, 2], 1, 65_536, tf.int32
        ),
        "valid/video": tf.ones([clips], tf.bool),
        "valid/audio": tf.ones([clips], tf.bool),
        "valid/text": tf.ones([clips, _CANDIDATES], tf.bool),
    }
    flags_ = tf.zeros([2])
    return _timed(lambda: step(batch, flags_))


def _policy() -> str:
    return "mixed_bfloat16" if _DTYPE.value == "bfloat16" else "float32"


def _timed(step: Callable[[], tf.Tensor]) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        step().numpy()
        return time.perf_counter() - started

    return run


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if _THREADS.value:
        tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    before = _peak_bytes()
    tower, weights = tower_step()
    what: dict[str, Callable[[], float]] = {"tower": tower}
    tower()
    tower_bytes = _peak_bytes()
    torch = None
    if _TORCH.value:
        what["torch"] = torch = Torch(_TORCH.value)
    if _FAC.value:
        what["fac"] = fac_step()
    seconds: dict[str, list[float]] = {name: [] for name in what}
    for warm in (True, False):
        for _ in range(1 if warm else _STEPS.value):
            for name, step in what.items():
                took = step()
                if not warm:
                    seconds[name].append(took)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result: dict[str, Any] = {
        "benchmark": "train_step",
        "dtype": _DTYPE.value,
        "shape": [_CLIPS.value, _FRAMES.value, _SIZE.value, _SIZE.value, 3],
        "cores": os.cpu_count(),
        "weights": weights,
        "seconds": {name: round(value, 3) for name, value in median.items()},
        "clips_per_second": {n: round(_CLIPS.value / value, 2) for n, value in median.items()},
        "tower_bytes": tower_bytes,
        "imports_bytes": before,
    }
    if "fac" in median:
        result["fac_over_tower"] = round(median["fac"] / median["tower"], 3)
    if torch is not None:
        result["tower_over_torch_clips_per_second"] = round(median["torch"] / median["tower"], 3)
        result["torch_bytes"] = torch.peak_bytes
        result["torch"] = torch.about
        torch.close()
    print(json.dumps(result))


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    app.run(main)
