# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parity of embeddings and gradients: the GPU in each precision against the CPU in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.gpu.report import Row
from benchmarks.gpu.series import Measure, Series
from benchmarks.gpu.work import NETWORKS, PRECISIONS, Setup, batch_of, make, precision
from mmv_tf import training
from mmv_tf.losses import Objective
from mmv_tf.training.optimizer import Adam
from mmv_tf.training.train_step import TrainStep

_HOST = "CPU:0"
_CLIPS = 2
_TRAINED = "S3D-G"  # the network whose training steps are also compared
_STEPS = 3
_MOST_SKIPPED = 16  # float16's loss scale is halved in each, from 2 ** 15 to its minimum


def parity(setup: Setup) -> Iterator[Series]:
    """Yield the agreement of embeddings and training losses for each network and precision."""
    for network in NETWORKS:
        what = {"part": "parity", "network": f"{network} FAC"}
        cases = tuple({**what, "precision": name} for name in PRECISIONS)
        yield Series(cases, lambda network=network: _parity(network, setup), chained=False)  # type: ignore[misc]


@contextlib.contextmanager
def _parity(network: str, setup: Setup) -> Iterator[Measure]:
    with tf.device(_HOST):
        batch = batch_of(setup, _CLIPS)
        model = make(network, setup)
        weights = model.get_weights()
        expected = _outcome(network, model, batch, _HOST)
        del model

    def measure(case: Row) -> Row:
        with precision(case["precision"]) as policy:
            other = make(network, setup, policy)
            # Another device's random numbers can differ in the last digit.
            other.set_weights(weights)
            return _agreement(_outcome(network, other, batch, setup.device), expected)

    yield measure


def _outcome(network: str, model: Any, batch: dict[str, tf.Tensor], device: str) -> dict[str, Any]:
    """Return the embeddings of a batch, and the losses of a few steps from the same weights."""
    outputs = model({"video": batch["video"], "audio": batch["audio"]}, training=False)
    found = {
        f"{modality}/{space}": tf.cast(value, tf.float32).numpy()
        for modality, spaces in outputs.items()
        for space, value in spaces.items()
    }
    losses, skipped = _losses(model, batch, device) if network == _TRAINED else ([], 0)
    return {"embeddings": found, "losses": losses, "skipped": skipped}


def _losses(model: Any, batch: dict[str, tf.Tensor], device: str) -> tuple[list[float], int]:
    """Return the losses of the first steps that change weights, and the number of skipped steps."""
    step = train_step(model, device)
    losses: list[float] = []
    skipped = 0
    while len(losses) < _STEPS and skipped < _MOST_SKIPPED:
        values = step(batch, tf.zeros([1])).numpy()
        if values[step.names.index("finite")]:
            losses.append(float(values[step.names.index("loss")]))
        else:
            skipped += 1
    return losses, skipped


def train_step(model: Any, device: str, jit_compile: bool = False) -> TrainStep:
    """Return the training loop's step of a FAC model on one device."""
    # Not `training.make_strategy`, which chooses the GPU even for the steps on the CPU.
    strategy = tf.distribute.OneDeviceStrategy(f"/{device.lower()}")
    optimizer = Adam(1e-4)
    optimizer.build(model.trainable_variables)
    config = training.default_config()
    config.jit_compile = jit_compile
    config.nonfinite_limit = _MOST_SKIPPED + 1
    objective = Objective({"va": 1.0, "vt": 1.0})
    return TrainStep(model, objective, strategy, optimizer, config)


def _agreement(found: dict[str, Any], expected: dict[str, Any]) -> Row:
    distances, errors = [], []
    for key, value in expected["embeddings"].items():
        other = found["embeddings"][key]
        one, two = (x.astype(np.float64) for x in (value, other))
        norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
        distances.append(float(np.max(1.0 - (one * two).sum(-1) / norms)))
        rms = float(np.sqrt(np.mean(value**2)))
        errors.append(float(np.abs(value - other).max()) / rms)
    row: Row = {"cosine_distance": max(distances), "difference_to_rms": max(errors)}
    if expected["losses"]:
        pairs = zip(found["losses"], expected["losses"], strict=False)
        differences = [abs(a - b) / abs(b) for a, b in pairs]
        if differences:
            row["difference_of_first_loss"] = differences[0]
            row["largest_difference_of_loss"] = max(differences)
        row["steps"] = f"{len(found['losses'])} of {_STEPS}"
        row["skipped_steps"] = found["skipped"]
    return row
