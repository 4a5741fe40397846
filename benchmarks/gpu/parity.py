# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parity of embeddings and gradients: the GPU in each precision against the CPU in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.gpu.work import NETWORKS, Clock, Row, Sizes, batch_of, make
from mmv_tf import training
from mmv_tf.losses import Objective
from mmv_tf.training.train_step import TrainStep

# Name -> the model's dtype policy, and whether matrix products may use TF32.
PRECISIONS = {
    "float32": ("float32", False),
    "TF32": ("float32", True),
    "mixed_bfloat16": ("mixed_bfloat16", False),
    "mixed_float16": ("mixed_float16", False),
}
_CLIPS = 2
_TRAINED = "S3D-G"  # the network whose training steps are also compared
_STEPS = 3
_MOST_SKIPPED = 16  # float16's loss scale is halved in each, from 2 ** 15 to its minimum


def parity(sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Yield the agreement of embeddings and training losses for each network and precision."""
    for name in NETWORKS:
        with tf.device("CPU:0"):
            expected = _outcome(name, sizes, "float32")
        for precision in PRECISIONS:
            row = _row(name, precision, expected, sizes, clock)
            if row is not None:
                yield row


def _row(
    name: str, precision: str, expected: dict[str, Any], sizes: Sizes, clock: Clock
) -> Row | None:
    policy, tf32 = PRECISIONS[precision]
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        return clock.measured(
            {"part": "parity", "network": f"{name} FAC", "precision": precision},
            lambda: _agreement(_outcome(name, sizes, policy), expected),
        )
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)


def _outcome(name: str, sizes: Sizes, policy: str) -> dict[str, Any]:
    """Return the embeddings of a batch, and the losses of a few steps from the same weights."""
    model = make(name, sizes, policy)
    batch = batch_of(sizes, _CLIPS)
    outputs = model({"video": batch["video"], "audio": batch["audio"]}, training=False)
    found = {
        f"{modality}/{space}": tf.cast(value, tf.float32).numpy()
        for modality, spaces in outputs.items()
        for space, value in spaces.items()
    }
    losses, skipped = _losses(model, batch) if name == _TRAINED else ([], 0)
    return {"embeddings": found, "losses": losses, "skipped": skipped}


def _losses(model: Any, batch: dict[str, tf.Tensor]) -> tuple[list[float], int]:
    """Return the losses of the first steps that change weights, and the number of skipped steps."""
    step = train_step(model)
    losses, skipped = [], 0
    while len(losses) < _STEPS and skipped < _MOST_SKIPPED:
        values = step(batch, tf.zeros([1])).numpy()
        if values[step.names.index("finite")]:
            losses.append(float(values[step.names.index("loss")]))
        else:
            skipped += 1
    return losses, skipped


def train_step(model: Any, jit_compile: bool = False) -> TrainStep:
    """Return the training loop's step of a FAC model on one device."""
    strategy = training.make_strategy("one_device")
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    config = training.default_config()
    config.jit_compile = jit_compile
    config.nonfinite_limit = _MOST_SKIPPED + 1
    objective = Objective({"va": 1.0, "vt": 1.0})
    return TrainStep(model, objective, strategy, optimizer, config)


def _agreement(found: dict[str, Any], expected: dict[str, Any]) -> Row:
    cosines, errors = [], []
    for key, value in expected["embeddings"].items():
        other = found["embeddings"][key]
        norms = np.linalg.norm(value, axis=-1) * np.linalg.norm(other, axis=-1)
        cosines.append(float(np.min((value * other).sum(-1) / norms)))
        rms = float(np.sqrt(np.mean(value**2)))
        errors.append(float(np.abs(value - other).max()) / rms)
    row: Row = {"lowest_cosine": min(cosines), "largest_difference_to_rms": max(errors)}
    if expected["losses"]:
        pairs = zip(found["losses"], expected["losses"], strict=False)
        row["largest_loss_difference"] = max((abs(a - b) for a, b in pairs), default=float("nan"))
        row["steps"] = f"{len(found['losses'])} of {_STEPS}"
        row["skipped_steps"] = found["skipped"]
    return row
