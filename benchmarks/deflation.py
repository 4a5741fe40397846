# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how much faster an image is in a deflated model than as a static clip.

  python -m benchmarks.deflation --architecture=s3d_fac
  python -m benchmarks.deflation --architecture=tsm50_fac

The clip repeats the image 32 times. Both models compute all their outputs; the deflated model has
folded batch norms, as for inference. Prints one line of JSON, see `mmv_tf.deflation.measure_speed`.
Weights are random, which does not affect the time as long as batch norm offsets are not zero.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measure import Times, print_result
from mmv_tf import deflation
from mmv_tf.pretrained import create_model, preset_config

_NETWORK = flags.DEFINE_string("architecture", "s3d_fac", "A preset.")
_SIZE = flags.DEFINE_integer("size", 224, "Height and width.", lower_bound=32)
_FRAMES = flags.DEFINE_integer("num_frames", 32, "Frames per clip.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Measured rounds.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 0, "Threads; 0 for one per core.", lower_bound=0)


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    _set_threads(_THREADS.value)
    keras.utils.set_random_seed(0)
    model = _make_network(_NETWORK.value)
    image_model = deflation.deflate_naively(model).folded()
    image = np.random.default_rng(0).random((1, _SIZE.value, _SIZE.value, 3), np.float32)
    speed = deflation.measure_speed(model, image_model, image, _FRAMES.value, _ROUNDS.value)
    inputs = {"network": _NETWORK.value, "size": _SIZE.value, "num_frames": speed.pop("num_frames")}
    times = {
        name: Times(speed.pop(f"{name}_seconds"), speed.pop(f"{name}_cpu_seconds"))
        for name in ("clip", "image")
    }
    print_result("deflation", inputs, times, _THREADS.value, **speed)


def _make_network(name: str) -> Any:
    model = create_model(preset_config(name))
    generator = np.random.default_rng(0)
    for variable in model.variables:
        # Zeros would be optimized away.
        if variable.name == "beta":
            variable.assign(generator.normal(0, 0.3, variable.shape))
    return model


def _set_threads(count: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


if __name__ == "__main__":
    app.run(main)
