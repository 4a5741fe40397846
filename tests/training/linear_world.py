# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Networks and data so small that a training loop is traced in a moment."""

from __future__ import annotations

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf import training
from mmv_tf.graphs import FineAndCoarse

CANDIDATES = 2
CLIPS = 48


class LinearGraph(keras.Model):
    """One linear map a modality into one space; no batch norm."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.towers = {m: keras.layers.Dense(6, name=m) for m in ("video", "audio", "text")}
        self.video, self.audio, self.text = self.towers.values()
        for tower, size in zip(self.towers.values(), (8, 4, 3), strict=True):
            tower.build((None, size))
        self.built = True

    def parts(self):
        return self.towers

    def common_space(self, first, second):
        return "vat"

    def trains_head(self, modality, space):
        return True

    def call(self, inputs, training=False, valid=None):
        return {
            name: {
                "vat": self.towers[name](tf.cast(tf.reshape(x, [tf.shape(x)[0], -1]), "float32"))
            }
            for name, x in inputs.items()
        }


class Flat(keras.layers.Layer):
    """A backbone that is a linear map."""

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.feature_dim = 5
        self.size = size
        self.dense = keras.layers.Dense(5)

    def build(self, input_shape=None):
        self.dense.build((None, self.size))
        self.built = True

    def call(self, inputs, training=False, valid=None):
        flat = tf.reshape(tf.cast(inputs, tf.float32), [tf.shape(inputs)[0], self.size])
        return tf.nn.relu(self.dense(flat))


def fine_and_coarse():
    """A FAC graph, with its batch norms, on linear backbones."""
    return FineAndCoarse(
        video=Flat(2 * 2 * 2 * 3),
        audio=Flat(4),
        text=Flat(3),
        fine_dim=6,
        coarse_dim=4,
        hidden_dim=6,
    )


def settings(**changes):
    """Settings of a short run that writes no checkpoint but the first and the last."""
    config = training.default_config()
    config.steps = 8
    config.log_every = 1
    config.checkpoint_every_seconds = 1e9
    config.update(changes)
    return config


def optimizer_settings(**changes) -> ml_collections.ConfigDict:
    """A learning rate that is high at once."""
    config = training.default_optimizer_config()
    config.learning_rate = 0.05
    config.warmup_steps = 0
    config.update(changes)
    return config


def examples(frames=(8,), clips=CLIPS, seed=0):
    """Related clips, sounds and sentences; some sounds and sentences are missing."""
    generator = np.random.default_rng(seed)
    topic = generator.normal(size=(clips, 3))

    def related(*shape):
        mix = generator.normal(size=(3, int(np.prod(shape))))
        noise = 0.1 * generator.normal(size=(clips, *shape))
        return ((topic @ mix).reshape(clips, *shape) + noise).astype(np.float32)

    words = generator.integers(1, 9, (clips, CANDIDATES, 3)).astype(np.int32)
    return {
        "video": related(*frames),
        "audio": related(2, 2, 1),
        "text": words,
        "valid/video": np.ones(clips, bool),
        "valid/audio": generator.random(clips) < 0.8,
        "valid/text": generator.random((clips, CANDIDATES)) < 0.7,
        "example_id": np.array([f"clip-{n}" for n in range(clips)]),
    }


def dataset(batch_size, values=None):
    """A function as `Trainer.run` takes it: endless, shuffled, with a place to come back to."""
    values = examples() if values is None else values

    def make(start, worker=0, workers=1):
        data = tf.data.Dataset.from_tensor_slices(values).shard(workers, worker)
        data = data.shuffle(16, seed=3).repeat().skip(start)
        return data.batch(batch_size // workers, drop_remainder=True).prefetch(2)

    return make
