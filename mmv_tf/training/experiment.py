# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A whole training run from a configuration: network, data, loop, model file."""

from __future__ import annotations

import pathlib

import keras
import ml_collections
import numpy as np

from mmv_tf.data import METADATA_KEYS, Reader
from mmv_tf.data.writer import read_manifest
from mmv_tf.pretrained import create_model, load_word_vectors
from mmv_tf.training import checkpoints
from mmv_tf.training.strategy import make_strategy
from mmv_tf.training.trainer import Trainer


def _with_metadata(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The network's settings with what it was trained on, which evaluation and export read."""
    model = ml_collections.ConfigDict(config.model.to_dict())
    model.metadata = {
        **config.model.get("metadata", ml_collections.ConfigDict()).to_dict(),
        **{key: config.data[key] for key in METADATA_KEYS},
        "input_range": (0.0, 1.0),
    }
    return model


def run(config: ml_collections.ConfigDict, directory: pathlib.Path) -> dict[str, float]:
    """Trains the network that a configuration describes.

    Args:
      config: see `configs/`.
      directory: the run's folder. It gets the settings (config.json), the untrained network
        (network.keras), checkpoints, TensorBoard scalars and at the end model.keras. If it holds an
        unfinished run of the same settings, that goes on; a finished one is left as it is.

    Returns:
      The metrics of the last step; empty if the run was finished already.

    Raises:
      ValueError: for settings that do not fit together, the data or the folder.
      Preempted: see `Trainer.run`.
    """
    read_manifest(config.data.directory)  # before anything is written that a next run would meet
    directory.mkdir(parents=True, exist_ok=True)
    checkpoints.save_config(config, directory)
    if (directory / checkpoints.MODEL_FILE).exists():
        return {}
    keras.utils.set_random_seed(config.seed)
    strategy = make_strategy(config.strategy)
    with strategy.scope():
        network = directory / checkpoints.NETWORK_FILE
        if network.exists():
            model = checkpoints.load_model(network)
        else:
            words, vectors = None, None
            if config.word_vectors:
                words, vectors = load_word_vectors(config.word_vectors)
                if config.unit_word_vectors:
                    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
            model = create_model(_with_metadata(config), words, vectors)
            checkpoints.save_model(model, network)
    reader = Reader(config.data, model.tokenizer, model.log_mel)
    trainer = Trainer(model, strategy, config.training, config.optimizer, directory)
    metrics = trainer.run(lambda start: reader.train(config.seed, start), config.data.batch_size)
    checkpoints.save_model(model, directory / checkpoints.MODEL_FILE)
    return metrics
