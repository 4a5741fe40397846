# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Digests of what the package computes, to be held against those of a process with other settings.

python -m tests.computed
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import sys
import tempfile
from typing import Any

import mmv_tf  # isort: skip  # before Keras, whose backend it chooses
import keras
import numpy as np
import tensorflow as tf

from mmv_tf import layers, training
from mmv_tf.deflation.image_encoder import load_image_model
from mmv_tf.evaluation.declaration import MLPClassifier
from mmv_tf.evaluation.mlp import MLP
from mmv_tf.losses import Objective
from mmv_tf.training.optimizer import OPTIMIZERS, make_optimizer
from mmv_tf.training.train_step import TrainStep
from tests import small_world


def digests() -> dict[str, str]:
    """Of networks, layers, optimizers and a step of training, all from fixed seeds."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = small_world.tiny_model()
    batch = {
        "video": generator.random((4, 4, 32, 32, 3), np.float32),
        "audio": generator.random((4, 40, 80, 1), np.float32),
        "text": generator.integers(0, 9, (4, 6)).astype(np.int32),
    }
    found: dict[str, Any] = {
        "weights": model.weights,
        "outputs": model(batch),
        "trained outputs": model(batch, training=True),
        "log-mel": layers.LogMel()(generator.standard_normal((1, 48_000))),
        "words": model.tokenizer(["the red square"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        mmv_tf.save_model(model, path)
        found["loaded"] = mmv_tf.load_model(path)(batch)
        mmv_tf.deflate(model).save(path)
        found["image encoder"] = load_image_model(path)(batch["video"][:, 0])
    for layer, shape in (
        (layers.BatchNorm(), (2, 4, 4, 8)),
        (layers.ProjectionHead(4, 8, "relu"), (2, 5)),
        (layers.SpaceToDepth(), (1, 4, 8, 8, 3)),
    ):
        found[type(layer).__name__] = layer(generator.random(shape, np.float32))
    for name in OPTIMIZERS:
        found[name] = _optimized(name)
    found["training"] = _trained(model, batch)
    declared = MLPClassifier(
        hidden=(8,), dropout=0.1, epochs=2, batch_size=5, learning_rate=1e-2, weight_decay=1e-3
    )
    features, targets = generator.random((20, 6), np.float32), np.eye(4)[np.arange(20) % 4]
    found["classifier"] = MLP(features, targets, declared, True).scores(features)
    return {name: _digest(value) for name, value in found.items()}


def _optimized(name: str, variables: Any = None) -> Any:
    """A weight after five steps; or the optimizer of other weights."""
    config = training.default_optimizer_config()
    config.update({"name": name, "warmup_steps": 3, "weight_decay": 0.1})
    optimizer = make_optimizer(config, 10)
    if variables is not None:
        optimizer.build(variables)
        return optimizer
    weight = keras.Variable(np.linspace(-1, 1, 7, dtype=np.float32), dtype="float32", name="w")
    optimizer.build([weight])
    for step in range(5):
        optimizer.apply([tf.sin(tf.range(7.0) + step)], [weight])
    return weight


def _trained(model: keras.Model, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What is reported and the weights after a step."""
    optimizer = _optimized("adam", model.trainable_variables)
    objective = Objective({"va": 1.0, "vt": 1.0})
    strategy = training.make_strategy("one_device")
    step = TrainStep(model, objective, strategy, optimizer, training.default_config())
    values = {key: tf.constant(value) for key, value in batch.items()}
    values["text"] = values["text"][:, tf.newaxis]
    values |= {"valid/video": tf.ones([4], bool), "valid/audio": tf.ones([4], bool)}
    values["valid/text"] = tf.ones([4, 1], bool)
    return [step(values, tf.zeros([2])), *model.weights]


def _digest(value: Any) -> str:
    arrays = [np.asarray(item) for item in tf.nest.flatten(value)]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    return f"{sorted({str(array.dtype) for array in arrays})} {digest}"


if __name__ == "__main__":
    json.dump(digests(), sys.stdout)
