# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs training from a configuration: model, data, loop, model file."""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections
import tensorflow as tf

from mmv_tf.data import METADATA_KEYS, Input, Reader
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.training import duplicates, preflight, run_folder, run_places, starting, validation
from mmv_tf.training import logging as run_log
from mmv_tf.training import workers as workers_lib
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.run_data import RunData
from mmv_tf.training.run_places import RunPlace
from mmv_tf.training.run_summary import summarized
from mmv_tf.training.trainer import Evaluate, Preempted, Trainer
from mmv_tf.training.workers import make_strategy, worker_and_workers
from mmv_tf.util.storage.workspace import brought

_FINISHED = "finished"
logger = logging.getLogger(__name__)


def run(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    evaluate: Evaluate | None = None,
) -> dict[str, float]:
    """Train the model that a configuration describes.

    Args:
      config: see `configs/`.
      directory: the run folder. It receives the settings (config.json), a digest of the data
        (data.json), the untrained model (initial.keras), checkpoints, its log, facts for the model
        card (training.json) and finally model.keras. An unfinished run with the same settings and
        data resumes; a finished run is not changed. Several workers share the folder; it is
        locked against other runs.
      evaluate: see `Trainer.run`. If it has an attribute `parts`, as `HeldOutRetrieval` does, the
        data that it reads are checked before the run starts; see `validation.choose_parts`.

    Returns:
      The metrics of the last steps; empty if the run was already finished.

    Raises:
      ValueError: the settings contradict each other, the data or the folder.
      WorkerLostError: another worker died.
      Preempted: see `Trainer.run`.
    """
    # Validate before writing anything, so that a corrected run finds an empty folder; and, where
    # possible, before workers wait for each other.
    place = run_places.open_run(directory)
    place.fetch()
    begun = run_folder.initial_file(directory).exists()
    config = run_folder.as_begun(config, directory)
    duplicates.check(config.training.mask_duplicates)
    run_log.check(config.training)
    preflight.check(config, validation.required_parts(config.training, evaluate))
    evaluate = validation.choose_parts(config, evaluate)
    looked = _look(config, evaluate) if config.data.num_frames else None
    if not begun:
        _check_words(config)
    strategy = make_strategy(config.strategy)
    with workers_lib.losses_explained(strategy), contextlib.ExitStack() as locks:
        source = None if begun else starting.open_source(config)
        config = _resolved(config, directory, source)
        looked = looked or _look(config, evaluate)
        seed_everything(config.seed, config.training.deterministic)
        settings = json.loads(config.to_json())
        data = RunData(looked.readers)
        same = {**run_folder.without_places(settings), "manifest.json": data.described}
        workers_lib.require_the_same(strategy, same)
        made = None if begun else _make(config, source, strategy)
        status = ""
        if worker_and_workers(strategy)[0] == 0:
            status = _prepare_folder(strategy, config, data, place, locks)
        status = workers_lib.gather_texts(strategy, status)[0]
        if status == _FINISHED:
            return {}
        if status:
            raise ValueError(status)
        duplicates.warn_of_small_data(
            looked, config.data.batch_size, config.training.mask_duplicates
        )
        if made is not None and worker_and_workers(strategy)[0] == 0:
            _save_start(*made, directory)
        place.share(strategy)
        source = made = None  # frees the memory of their weights for training
        return _train(config, place, strategy, settings, evaluate)


def _make(
    config: ml_collections.ConfigDict,
    source: EmbeddingGraph | None,
    strategy: tf.distribute.Strategy,
) -> tuple[EmbeddingGraph, run_folder.Start]:
    """Create a new run's model, and check that the training settings match it."""
    with strategy.scope():
        model, start = starting.make(config, source)
    starting.freezing_of(model, config.training, start)
    return model, start


def _save_start(model: EmbeddingGraph, start: run_folder.Start, directory: pathlib.Path) -> None:
    """Write a new run's model and the origin of its parts."""
    run_folder.save_start(start, directory)
    run_folder.save_model(model, run_folder.initial_file(directory))


def _resolved(
    config: ml_collections.ConfigDict, directory: pathlib.Path, source: EmbeddingGraph | None
) -> ml_collections.ConfigDict:
    """Return a configuration whose omitted data settings come from the model in `init_from`.

    Args:
      config: the run's configuration.
      directory: the run folder; if a run has started there, it holds the settings.
      source: the model that a new run's `init_from` names.
    """
    if config.data.num_frames or not config.get("init_from", ""):
        return config
    if source is None:
        metadata = run_folder.data_settings(directory, METADATA_KEYS)
    else:
        metadata = source.metadata
    return starting.with_data_settings(config, metadata)


def _look(config: ml_collections.ConfigDict, evaluate: Evaluate | None) -> Input:
    """Open the shards for training and evaluation, which are read later."""
    for part in getattr(evaluate, "parts", {}).values():
        reader = ml_collections.ConfigDict(part.to_dict())
        reader.update({key: config.data[key] for key in METADATA_KEYS})
        Reader(reader.lock(), None, None).damage()
    looked = Input(config.data)
    looked.damage()
    with looked.explained():
        duplicates.check_sources(looked.readers, config.training.mask_duplicates)
    return looked


def _train(
    config: ml_collections.ConfigDict,
    place: RunPlace,
    strategy: tf.distribute.Strategy,
    settings: dict[str, Any],
    evaluate: Evaluate | None,
) -> dict[str, float]:
    """Train the model in a prepared folder; see `run`."""
    worker, workers = worker_and_workers(strategy)
    directory = place.directory
    # A new model is read back too: checkpoints follow the order of the weights, which can differ
    # between a model that was read and one that was created.
    with strategy.scope():
        model = run_folder.load_model(run_folder.initial_file(directory))
    source = Input(config.data, model.tokenizer, model.log_mel)
    local = config.data.batch_size // workers

    def batches(start: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        return source.train(config.seed, start, worker, workers, local)

    damage = source.damage()
    skipped = damage.by_reason
    start = run_folder.read_start(directory)
    trainer = Trainer(model, strategy, config.training, config.optimizer, directory, start, place)
    summary: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if worker == 0:
        summary = summarized(directory, source.readers, strategy)
    with _published(place, worker), trainer.store.finished(), source.explained(), summary:
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
        place.publish()
    workers_lib.barrier(strategy)
    return metrics


@contextlib.contextmanager
def _published(place: RunPlace, worker: int) -> Iterator[None]:
    """Keep the log even of a run that stops early."""
    try:
        yield
    except Preempted:
        if worker == 0:
            place.publish()
        raise


def _check_words(config: ml_collections.ConfigDict) -> None:
    """Check that a new model has words to read narrations with."""
    if config.word_vectors:
        if not pathlib.Path(brought(config.word_vectors)).is_file():
            raise ValueError(
                f"{config.word_vectors}: no such file; expected word vectors; set word_vectors to "
                "a word2vec or GloVe file."
            )
    elif config.training.weights.get("vt", 0) and not config.get("init_from", ""):
        raise ValueError(
            "Training with narrations needs words: set word_vectors to a file of word vectors."
        )


def _prepare_folder(
    strategy: tf.distribute.Strategy,
    config: ml_collections.ConfigDict,
    data: RunData,
    place: RunPlace,
    locks: contextlib.ExitStack,
) -> str:
    """Lock the folder and compare its run, or start one; called by the first worker.

    Returns:
      Errors for all workers, or that the run is already finished.
    """
    directory = place.directory
    try:
        locks.enter_context(place.held())
        run_folder.check_config(config, directory)
        data.check(directory)
        _extend(config, place)
        run_folder.save_config(config, directory)
        data.save(directory)
    except (OSError, ValueError) as error:
        if worker_and_workers(strategy)[1] == 1:
            raise
        return str(error)
    return _FINISHED if (directory / run_folder.MODEL_FILE).exists() else ""


def _extend(config: ml_collections.ConfigDict, place: RunPlace) -> None:
    """Let a run with more steps than before continue; keep a finished model under another name."""
    directory = place.directory
    steps = run_folder.extends(config, directory)
    if steps is None:
        return
    finished = (directory / run_folder.MODEL_FILE).exists()
    taken = place.steps_taken()
    if finished and taken < steps:
        raise ValueError(
            f"The run in {directory} stopped early, at step {taken} of {steps}, because of "
            "training.stop_after; more steps don't extend it. Start another run from its weights: "
            f"--init_from={directory}."
        )
    logger.info("%s: extended from %d to %d steps.", directory, steps, config.training.steps)
    if finished:
        kept = run_folder.set_aside(directory, steps)
        logger.info("The model from step %d is kept as %s.", steps, kept.name)
