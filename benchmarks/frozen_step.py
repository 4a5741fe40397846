# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares a training step with frozen video and audio backbones with a full step.

  python -m benchmarks.frozen_step
  python -m benchmarks.frozen_step --dtype=bfloat16 --clips=8

Both train the paper's S3D-G FAC model on the same clips, [4, 16, 112, 112, 3], taken in turn.
Prints one line of JSON:

    frozen_over_whole         time of the frozen step relative to the full step
    frozen_over_whole_cpu     CPU time of the frozen step relative to the full step
    memory_over_whole         peak memory of a process with frozen steps relative to a process with
                              full steps, including TensorFlow and the weights
"""

from __future__ import annotations

import subprocess
import sys

import tensorflow as tf
from absl import app, flags

from benchmarks.fac import fac_batch, fac_config
from benchmarks.measure import interleaved, peak_bytes, print_result, rounded
from mmv_tf import training
from mmv_tf.losses import Objective
from mmv_tf.pretrained import create_model
from mmv_tf.training import optimizer as optimizer_lib
from mmv_tf.training.freezing import Freezing
from mmv_tf.training.train_step import TrainStep

_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the backbones.")
_CLIPS = flags.DEFINE_integer("clips", 4, "Clips per batch.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 10, "Measured steps of each kind.", lower_bound=1)
_CHILD = flags.DEFINE_string("child", "", "Not for users: the step of this process.")
_STEPS: dict[str, tuple[str, ...]] = {"whole": (), "frozen": ("video", "audio")}


class _Step:
    """A traced step in which some parts are frozen."""

    def __init__(self, freeze: tuple[str, ...], batch: dict[str, tf.Tensor]):
        dtype = "mixed_bfloat16" if _DTYPE.value == "bfloat16" else "float32"
        model = create_model(fac_config(dtype))
        freezing = Freezing(model, freeze)
        optimizer = optimizer_lib.make_optimizer(training.default_optimizer_config(), 1000)
        optimizer.build(freezing.variables)
        self._step = TrainStep(
            model,
            Objective({"va": 1.0, "vt": 1.0}),
            tf.distribute.get_strategy(),
            optimizer,
            training.default_config(),
            freezing=freezing,
        )
        self._batch = batch
        with freezing.applied():
            self()  # traces it

    def __call__(self) -> None:
        self._step(self._batch, tf.zeros([2])).numpy()


def _peak(name: str) -> int:
    """Return the peak memory of a process that runs only one kind of step."""
    arguments = [f"--child={name}", f"--dtype={_DTYPE.value}", f"--clips={_CLIPS.value}"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.frozen_step", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def main(argv: list[str]) -> None:
    """Measure both steps."""
    del argv
    shape = [_CLIPS.value, 16, 112, 112, 3]
    batch = fac_batch(shape)
    if _CHILD.value:
        step = _Step(_STEPS[_CHILD.value], batch)
        step()
        print(peak_bytes())
        return
    memory = {name: _peak(name) for name in _STEPS}
    steps = {name: _Step(freeze, batch) for name, freeze in _STEPS.items()}
    times = interleaved(steps, _ROUNDS.value)
    whole, frozen = times["whole"], times["frozen"]
    print_result(
        "frozen_step",
        {"video": shape, "dtype": _DTYPE.value, "frozen": list(_STEPS["frozen"])},
        times,
        frozen_over_whole=rounded(frozen.seconds / whole.seconds),
        frozen_over_whole_cpu=rounded(frozen.cpu_seconds / whole.cpu_seconds),
        peak_bytes=memory,
        memory_over_whole=rounded(memory["frozen"] / memory["whole"]),
    )


if __name__ == "__main__":
    app.run(main)
