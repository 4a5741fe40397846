# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The state of random generators, for checkpoints, and seeds for deterministic runs."""

from __future__ import annotations

import json
import random

import keras
import numpy as np
import tensorflow as tf


class RandomState(tf.train.experimental.PythonState):
    """The state of Python's and NumPy's generators, for `tf.train.Checkpoint`.

    Batches and augmentation depend only on the seed and the example (see `Reader.train`); the state
    serves a user's own data set or callback.
    """

    def serialize(self) -> str:
        """Return JSON, because nothing here is ever unpickled."""
        version, words, gauss = random.getstate()
        kind, keys, position, has_gauss, cached = np.random.get_state()
        return json.dumps(
            {
                "python": [version, list(words), gauss],
                "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, cached],
            }
        )

    def deserialize(self, string_value: str | bytes) -> None:
        """Set the state from the result of `serialize`."""
        state = json.loads(string_value)
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        kind, keys, position, has_gauss, cached = state["numpy"]
        np.random.set_state((kind, np.array(keys, np.uint32), position, has_gauss, cached))


def random_states() -> dict[str, object]:
    """Return the states of the process's random generators for a checkpoint, by name."""
    return {
        "random": RandomState(),
        "generator": tf.random.get_global_generator(),
    }


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seed all generators and, if requested, make TensorFlow deterministic."""
    keras.utils.set_random_seed(seed)
    tf.random.set_global_generator(tf.random.Generator.from_seed(seed))
    if deterministic:
        tf.config.experimental.enable_op_determinism()
        # It would undo what `copies` does.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
