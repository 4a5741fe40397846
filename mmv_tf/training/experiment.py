# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training run from a configuration: model, data, loop, model file."""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.data import METADATA_KEYS, Input, Reader
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model, load_word_vectors
from mmv_tf.training import duplicates, preflight, run_folder, validation
from mmv_tf.training import workers as workers_lib
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.run_data import RunData
from mmv_tf.training.trainer import Evaluate, Trainer
from mmv_tf.training.workers import make_strategy, worker_and_workers
from mmv_tf.util import locks as locks_lib

_FINISHED = "finished"
_LOCK = "lock"
logger = logging.getLogger(__name__)


def _with_metadata(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Return the model's settings with those of the data, which evaluation and export read."""
    model = ml_collections.ConfigDict(config.model.to_dict())
    model.metadata = {
        **config.model.get("metadata", ml_collections.ConfigDict()).to_dict(),
        **{key: config.data[key] for key in METADATA_KEYS},
        "input_range": (0.0, 1.0),
    }
    return model


def run(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    evaluate: Evaluate | None = None,
) -> dict[str, float]:
    """Train the model that a configuration describes.

    Args:
      config: see `configs/`.
      directory: the run's folder. It gets the settings (config.json), a digest of the data
        (data.json), the untrained model (initial.keras), checkpoints, TensorBoard scalars and at
        the end model.keras. An unfinished run of the same settings and data resumes; a finished one
        is left as it is. Several workers share the folder; it is locked against other runs.
      evaluate: see `Trainer.run`. If it has an attribute `parts`, as `HeldOutRetrieval` has, the
        data that it reads are checked before the run starts; see `validation.choose_parts`.

    Returns:
      The metrics of the last steps; empty if the run was finished already.

    Raises:
      ValueError: the settings do not fit together, to the data or to the folder.
      WorkerLostError: another worker died.
      Preempted: see `Trainer.run`.
    """
    # Validate before writing anything, so that a corrected run finds an empty folder.
    config = run_folder.as_begun(config, directory)
    duplicates.check(config.training.mask_duplicates)
    preflight.check(config, validation.required_parts(config.training, evaluate))
    evaluate = validation.choose_parts(config, evaluate)
    for reader in getattr(evaluate, "parts", {}).values():
        Reader(reader, None, None).damage()
    looked = Input(config.data)
    looked.damage()
    mask = config.training.mask_duplicates
    with looked.explained():
        duplicates.check_sources(looked.readers, mask)
    _check_words(config, directory)
    strategy = make_strategy(config.strategy)
    seed_everything(config.seed, config.training.deterministic)
    with workers_lib.losses_explained(strategy), contextlib.ExitStack() as locks:
        settings = json.loads(config.to_json())
        data = RunData(looked.readers)
        same = {**run_folder.without_places(settings), "manifest.json": data.described}
        workers_lib.require_the_same(strategy, same)
        status = ""
        if worker_and_workers(strategy)[0] == 0:
            status = _prepare_folder(strategy, config, data, directory, locks)
        status = workers_lib.gather_texts(strategy, status)[0]
        if status == _FINISHED:
            return {}
        if status:
            raise ValueError(status)
        duplicates.warn_of_small_data(looked, config.data.batch_size, mask)
        return _train(config, directory, strategy, settings, evaluate)


def _train(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    strategy: tf.distribute.Strategy,
    settings: dict[str, Any],
    evaluate: Evaluate | None,
) -> dict[str, float]:
    """Train in a prepared folder; see `run`."""
    worker, workers = worker_and_workers(strategy)
    with strategy.scope():
        model = _make_model(config, directory, strategy)
    source = Input(config.data, model.tokenizer, model.log_mel)
    local = config.data.batch_size // workers

    def batches(start: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        return source.train(config.seed, start, worker, workers, local)

    damage = source.damage()
    skipped = damage.by_reason
    trainer = Trainer(model, strategy, config.training, config.optimizer, directory)
    with source.explained():
        metrics = trainer.run(
            batches,
            config.data.batch_size,
            evaluate,
            settings,
            lambda: skipped,
            # The state of a tf.data service's iterator is on other machines.
            save_iterator=config.training.save_iterator and not config.data.service,
        )
    if worker == 0:
        if skipped:
            logger.warning("%s: %s.", directory, damage.summary())
        run_folder.save_model(model, directory / run_folder.MODEL_FILE)
    workers_lib.barrier(strategy)
    return metrics


def _check_words(config: ml_collections.ConfigDict, directory: pathlib.Path) -> None:
    """Check that there are words to read narrations with."""
    if run_folder.initial_file(directory).exists():
        return  # the model has them
    if config.word_vectors:
        if not pathlib.Path(config.word_vectors).is_file():
            raise ValueError(
                f"{config.word_vectors}: no such file; expected word vectors; set word_vectors to "
                "a file of word2vec or GloVe."
            )
    elif config.training.weights.get("vt", 0):
        raise ValueError(
            "Training with narrations needs words: set word_vectors to a file of word vectors."
        )


def _prepare_folder(
    strategy: tf.distribute.Strategy,
    config: ml_collections.ConfigDict,
    data: RunData,
    directory: pathlib.Path,
    locks: contextlib.ExitStack,
) -> str:
    """Lock the folder and compare the run in it, or begin one; for the first worker.

    Returns:
      Errors, for all workers, or that the run is finished.
    """
    try:
        locks.enter_context(locks_lib.held(directory / _LOCK, directory, "training there"))
        run_folder.check_config(config, directory)
        data.check(directory)
        run_folder.save_config(config, directory)
        data.save(directory)
    except (OSError, ValueError) as error:
        if worker_and_workers(strategy)[1] == 1:
            raise
        return str(error)
    return _FINISHED if (directory / run_folder.MODEL_FILE).exists() else ""


def _make_model(
    config: ml_collections.ConfigDict, directory: pathlib.Path, strategy: tf.distribute.Strategy
) -> EmbeddingGraph:
    """Return the run's model: the folder's, or a new one, which the first worker writes there."""
    network = run_folder.initial_file(directory)
    worker, _ = worker_and_workers(strategy)
    exists = workers_lib.gather_texts(strategy, "yes" if network.exists() else "")[0]
    if exists:
        return run_folder.load_model(network)
    words, vectors = None, None
    if config.word_vectors:
        words, vectors = load_word_vectors(config.word_vectors)
        if config.unit_word_vectors:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    model = create_model(_with_metadata(config), words, vectors)
    if worker == 0:
        run_folder.save_model(model, network)
    workers_lib.barrier(strategy)
    # Read back even now: checkpoints follow the order of the weights, which can differ between a
    # model that was read and one that was made.
    return run_folder.load_model(network)
