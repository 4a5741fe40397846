# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The training loop."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.losses import PAIRS, Objective
from mmv_tf.training import checkpoints, duplicates, preflight, run_folder, validation, workers
from mmv_tf.training import logging as run_log
from mmv_tf.training import optimizer as optimizer_lib
from mmv_tf.training.finite_check import FiniteCheck
from mmv_tf.training.forward import Batch, make_objective, needed_entries
from mmv_tf.training.freezing import DEFAULT_LEARNING_RATES
from mmv_tf.training.logging import Watcher
from mmv_tf.training.random_state import random_states
from mmv_tf.training.run_places import RunPlace
from mmv_tf.training.signals import StopSignals
from mmv_tf.training.starting import freezing_of
from mmv_tf.training.train_step import TrainStep
from mmv_tf.training.validation import Validation
from mmv_tf.training.workers import worker_and_workers

logger = logging.getLogger(__name__)

# (number of examples that this worker has seen[, worker, workers]) -> endless batches for this
# worker. The last two arguments are passed if there are several workers.
MakeDataset = Callable[..., tf.data.Dataset]
# (model, function that returns whether to give up) -> metrics, or None if it gave up.
Evaluate = Callable[[EmbeddingGraph, Callable[[], bool]], dict[str, float] | None]


class Preempted(Exception):
    """Training was asked to stop, and has written a checkpoint to resume from."""


def default_config() -> ml_collections.ConfigDict:
    """Return the default training settings, ours unless a comment gives a source."""
    return ml_collections.ConfigDict(
        {
            "steps": 1000,
            # The objective; see `losses.mil_nce`.
            "weights": {
                "va": 1.0,
                "vt": 1.0,
            },  # MMV, on HowTo100M with AudioSet
            "temperature": 0.07,  # MMV (Alayrac et al., 2020)
            "symmetric": False,
            "loss_chunk_rows": 0,
            # Video and audio without narration are negatives for others' narrations, as in VATT.
            "textless_negatives": False,
            # Clips that occur more than once in a batch are not negatives of each other: "example".
            # "source": nor are clips of one source film. "none": all are negatives.
            "mask_duplicates": duplicates.EXAMPLE,
            # Parts that do not change, and multiples of the learning rate; see `Freezing`.
            "freeze": (),
            "learning_rates": dict(DEFAULT_LEARNING_RATES),
            "frozen_batch_norm": False,
            # Pieces of the batch; see `TrainStep`.
            "accumulate": 1,
            "gradient_cache": 1,
            # Decay of the weight averages, such as 0.999; 0 for no averages.
            "average_decay": 0.0,
            "jit_compile": False,
            # Batch norm uses the global batch's statistics, otherwise those of each replica's rows:
            # faster between distant replicas, noisier, and dependent on their number. The moving
            # statistics always follow the global batch.
            "common_batch_statistics": True,
            # Bit-for-bit repeatable on the same machine; slower.
            "deterministic": False,
            # Number of consecutive non-finite steps after which the run stops.
            "nonfinite_limit": 1,
            "log_every": 10,
            # First and last step to profile for TensorBoard; (0, 0) for none.
            "profile": (0, 0),
            # TensorBoard, Weights & Biases and MLflow.
            "logging": run_log.default_config(),
            "checkpoint_every_seconds": 60.0,
            "checkpoint_every_steps": 0,  # in addition; 0 for none
            # Store the position in the data, at the cost of the shuffle buffer's size. Otherwise a
            # resumed run reads past the examples already seen: equally exact, but slower.
            "save_iterator": True,
            "keep_checkpoints": 2,
            "best_metric": "loss",
            "best_is": "least",
            # Retrieval among clips of another split during training: steps between evaluations, 0
            # for none, -1 for about ten in the run if the data have that split.
            "evaluate_every_steps": validation.AUTOMATIC,
            "evaluate_split": "validation",
            "evaluate_clips": 256,
            # Evaluations in a row without a better `best_metric` after which the run stops, with
            # the model of the best checkpoint. 0 trains all steps.
            "stop_after": 0,
        }
    )


class Trainer:
    """The training loop of an embedding graph under a `tf.distribute` strategy.

    Args:
      model: the model, created under `strategy.scope()`.
      strategy: see `make_strategy`.
      training: settings; see `default_config`.
      optimizer: settings; see `optimizer.default_config`.
      directory: the run folder; checkpoints and TensorBoard scalars go there. Training resumes
        from its checkpoints. Several workers share it.
      start: origin of the model's parts.
      place: location of the run, if it is not only in that folder.

    Raises:
      ValueError: settings contradict each other or the model.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        strategy: tf.distribute.Strategy,
        training: ml_collections.ConfigDict,
        optimizer: ml_collections.ConfigDict,
        directory: pathlib.Path,
        start: run_folder.Start | None = None,
        place: RunPlace | None = None,
    ):
        self.model = model
        self.strategy = strategy
        self.config = training
        self.directory = directory
        self.worker, self.workers = worker_and_workers(strategy)
        self.objective = make_objective(training)
        _check_pairs(model, self.objective)
        duplicates.check(training.mask_duplicates)
        self.validation = Validation(training, strategy)
        self._freezing = freezing_of(model, training, start or run_folder.Start())
        with strategy.scope():
            self.optimizer = optimizer_lib.make_optimizer(optimizer, training.steps)
            self.optimizer.build(self._freezing.variables)
        self.train_step = TrainStep(
            model,
            self.objective,
            strategy,
            self.optimizer,
            training,
            optimizer.clip_norm,
            self._freezing,
        )
        parts = {**self.train_step.variables, **self.validation.state}
        self.shared = run_folder.make_checkpoint(model, **parts)
        self.store = (place or RunPlace(directory)).checkpoints(training, strategy)
        self._finite_check = FiniteCheck(
            self.objective, training.nonfinite_limit, self.train_step.loss_scale is not None
        )

    def run(
        self,
        make_dataset: MakeDataset,
        batch_size: int,
        evaluate: Evaluate | None = None,
        hparams: Mapping[str, Any] | None = None,
        skipped: Callable[[], Mapping[str, int]] | None = None,
        save_iterator: bool = True,
    ) -> dict[str, float]:
        """Train to the last step, from the newest checkpoint if there is one.

        Args:
          make_dataset: number of examples that this worker has already seen (and, with several
            workers, this worker's index and their number) -> a dataset of its batches, with
            batch_size / workers examples each; see `Reader.train`.
          batch_size: the global batch size.
          evaluate: called every `evaluate_every_steps` by the first worker; pass it to all or to
            none. Its attribute `shown`, if it has one, holds the clips to log: data set name ->
            `HeldOutClips`.
          hparams: settings to log.
          skipped: returns the number of records skipped so far, by reason.
          save_iterator: store the position in the data in checkpoints. If False, a resumed run
            creates its dataset with the number of examples seen.

        Returns:
          The losses and other values of the last steps, averaged over `log_every`, and "best_step"
          if held-out clips select the best checkpoint; empty if no step was left.

        Raises:
          Preempted: on SIGTERM or Ctrl-C, after a checkpoint has been written.
          NotFiniteError: losses or gradients are not finite; that step is not saved.
          WorkerLostError: another worker died.
          ValueError: sizes do not match, the data end, or early stopping has no metric to use.
        """
        local = self._local_batch_size(batch_size)
        if evaluate is None and self.validation.early_stop.is_on:
            raise ValueError("training.stop_after needs held-out clips, but nothing is evaluated.")
        with (
            StopSignals() as stop,
            workers.losses_explained(self.strategy),
            self._freezing.applied(),
        ):
            begun = self._start(make_dataset, local, save_iterator)
            return self._run(begun, batch_size, evaluate, hparams, skipped, stop)

    def _run(
        self,
        begun: tuple[int, Iterator[Batch], tf.train.Checkpoint],
        batch_size: int,
        evaluate: Evaluate | None,
        hparams: Mapping[str, Any] | None,
        skipped: Callable[[], Mapping[str, int]] | None,
        stop: StopSignals,
    ) -> dict[str, float]:
        step, batches, own = begun
        saved_at = time.monotonic()
        config, early_stop = self.config, self.validation.early_stop
        with Watcher(self.directory, config, step, batch_size, self.worker == 0) as watcher:
            if hparams is not None and step == 0:
                watcher.settings(hparams)
            if evaluate is not None and self.validation.is_missed(step):
                found, stopping = self._evaluate(step, evaluate, watcher, stop)
                if found:
                    self.store.save(step, self.shared, own, found)
                if stopping:
                    raise _stopped_at(step)
            while step < config.steps and not early_stop.is_over:
                step += 1
                waited = time.monotonic()
                batch = self._next(batches, step)
                waited = time.monotonic() - waited
                due = self._is_due(step, saved_at)
                watcher.before_step(step)
                values, stopping, due = self._take(batch, stop.requested, due)
                values = self._finite_check(values, batch, step)
                if skipped is not None:
                    values |= {f"skipped/{reason}": n for reason, n in skipped().items()}
                watcher.after_step(step, values, waited)
                held_out: dict[str, float] = {}
                if evaluate is not None and not stopping and validation.is_due(config, step):
                    held_out, stopping = self._evaluate(step, evaluate, watcher, stop)
                    due |= bool(held_out) and self.validation.chooses_best
                if early_stop.is_over:
                    watcher.log(step)
                if due or stopping or step == config.steps or early_stop.is_over:
                    started = time.monotonic()
                    self.store.save(step, self.shared, own, {**watcher.means, **held_out})
                    saved_at = time.monotonic()
                    watcher.pause(saved_at - started)
                left = step < config.steps or self.validation.is_missed(step)
                if stopping and left and not early_stop.is_over:
                    raise _stopped_at(step)
            means = watcher.means
        return self._end(step, means)

    def _end(self, step: int, means: dict[str, float]) -> dict[str, float]:
        """Set the model's final weights, and return the metrics with the best step."""
        if self.train_step.averages is not None:
            self.train_step.averages.put_in_place()
        best = self.store.best() if self.validation.chooses_best else None
        if best is not None and self.validation.early_stop.is_on:
            self.store.fetch(best)
        if best is not None and self.validation.take_best(self.model, best, step):
            means = means and {**means, "best_step": float(checkpoints.step_of(best))}
        return means

    # ---- Start ----------------------------------------------------------------------------------

    def _local_batch_size(self, batch_size: int) -> int:
        pieces = max(self.config.accumulate, self.config.gradient_cache)
        replicas = self.strategy.num_replicas_in_sync
        if batch_size % (replicas * pieces):
            raise ValueError(
                f"The batch of {batch_size} can't be split evenly between {replicas} replicas"
                + (f" and {pieces} pieces of each." if pieces > 1 else ".")
            )
        return batch_size // self.workers

    def _start(
        self, make_dataset: MakeDataset, local: int, save_iterator: bool
    ) -> tuple[int, Iterator[Batch], tf.train.Checkpoint]:
        """Restore the newest checkpoint, if any; the iterator continues with the next example."""

        def begin(seen: int) -> tuple[Iterator[Batch], tf.train.Checkpoint]:
            place = () if self.workers == 1 else (self.worker, self.workers)
            batches = iter(make_dataset(seen, *place))
            place_in_data = {"iterator": batches} if save_iterator else {}
            return batches, tf.train.Checkpoint(**place_in_data, **random_states())

        batches, own = begin(0)
        restored = self.store.restore(self.shared, own)
        if restored is None:
            # Save at step 0 to fail early if saving is impossible.
            self.store.save(0, self.shared, own)
            return 0, batches, own
        if not (restored.own and save_iterator):
            if save_iterator:
                logger.warning(
                    "Checkpoint %s was written by a different number of workers; each worker "
                    "continues at the place in its data that it would have reached by now.",
                    restored.path,
                )
            batches, own = begin(restored.step * local)
        logger.info("Resuming from step %d of %d.", restored.step, self.config.steps)
        return restored.step, batches, own

    # ---- A step or an evaluation ----------------------------------------------------------------

    def _next(self, batches: Iterator[Batch], step: int) -> Batch:
        try:
            return next(batches)
        except StopIteration:
            raise ValueError(
                f"The data ended before step {step} of {self.config.steps}; training needs a "
                "dataset that repeats."
            ) from None

    def _evaluate(
        self, step: int, evaluate: Evaluate, watcher: Watcher, stop: StopSignals
    ) -> tuple[dict[str, float], bool]:
        """Evaluate the weights, or their averages; see `Validation.run`."""
        started = time.monotonic()
        averages = self.train_step.averages
        with contextlib.nullcontext() if averages is None else averages.in_place_of_weights():
            held_out, stopping = self.validation.run(
                step, lambda: evaluate(self.model, lambda: stop.requested), lambda: stop.requested
            )
        watcher.write(step, held_out)
        if held_out:
            watcher.show(step, getattr(evaluate, "shown", {}))
        watcher.pause(time.monotonic() - started)
        return held_out, stopping

    def _is_due(self, step: int, saved_at: float) -> bool:
        if self.worker:
            return False  # the first worker's clock counts
        every = self.config.checkpoint_every_steps
        if every and step % every == 0:
            return True
        return time.monotonic() - saved_at > self.config.checkpoint_every_seconds

    def _take(self, batch: Batch, stop: bool, due: bool) -> tuple[dict[str, float], bool, bool]:
        """Run a step; return its values, whether to stop, and whether to save a checkpoint."""
        flags = tf.constant([float(stop), float(due)])
        entries = needed_entries(batch, self.objective, self.config.mask_duplicates)
        needed = self._for_replicas(entries)
        vector = self.train_step(needed, flags).numpy().tolist()
        *values, stopping, saving = vector
        named = dict(zip(self.train_step.names, values, strict=True))
        named["temperature"] = self.config.temperature
        return named, stopping > 0, saving > 0

    def _for_replicas(self, batch: Batch) -> Batch:
        """Distribute rows to this worker's replicas."""
        count = self.strategy.num_replicas_in_sync // self.workers
        if count == 1:
            return batch

        def rows(tensor: tf.Tensor) -> Any:
            parts = tf.split(tensor, count)
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: parts[context.replica_id_in_sync_group % count]
            )

        return {name: rows(tensor) for name, tensor in batch.items()}


def _stopped_at(step: int) -> Preempted:
    return Preempted(f"Stopped at step {step}; rerun the same command to resume there.")


def _check_pairs(model: EmbeddingGraph, objective: Objective) -> None:
    """Check that the model compares the pairs, and trains the heads for them.

    Raises:
      ValueError: the model does not.
    """
    for pair in objective.pairs:
        space = model.common_space(*PAIRS[pair])
        if not all(model.trains_head(modality, space) for modality in PAIRS[pair]):
            raise ValueError(f"{preflight.AUDIO_TEXT}.")
