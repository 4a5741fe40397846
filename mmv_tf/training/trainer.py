# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The training loop."""

from __future__ import annotations

import logging
import math
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.losses import PAIRS, Objective
from mmv_tf.progress import Progress
from mmv_tf.training import checkpoints, optimization

logger = logging.getLogger(__name__)

Batch = dict[str, tf.Tensor]
# Takes the strategy's batch and the number of examples already seen.
MakeDataset = Callable[[int], tf.data.Dataset]


class Preempted(Exception):
    """Training was asked to stop; it has written a checkpoint and can go on from it."""


class NotFiniteError(ValueError):
    """A loss or a gradient is infinite or not a number."""


def default_config() -> ml_collections.ConfigDict:
    """Settings of the loop; all are ours."""
    return ml_collections.ConfigDict(
        {
            "steps": 1000,
            "log_every": 10,
            "checkpoint_every_seconds": 60.0,
            "keep_checkpoints": 2,
            "weights": {"va": 1.0, "vt": 1.0},  # PAPER section 2: 1:1 on HowTo100M + AudioSet
            "temperature": 0.07,  # PAPER section 2
        }
    )


class Trainer:
    """Trains an embedding graph under a `tf.distribute` strategy.

    Args:
      model: made under `strategy.scope()`.
      strategy: see `make_strategy`.
      training: settings, see `default_config`.
      optimizer: settings, see `optimization.default_config`.
      directory: the run's folder; checkpoints and TensorBoard scalars go there. A folder with
        checkpoints is gone on with.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        strategy: tf.distribute.Strategy,
        training: ml_collections.ConfigDict,
        optimizer: ml_collections.ConfigDict,
        directory: pathlib.Path,
    ):
        self.model = model
        self.strategy = strategy
        self.config = training
        self.clip_norm = optimizer.clip_norm
        self.directory = directory
        self.objective = Objective(dict(training.weights), training.temperature)
        with strategy.scope():
            self.optimizer = optimization.make_optimizer(optimizer, training.steps)
            self.optimizer.build(model.trainable_variables)
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.checkpoint = checkpoints.make_checkpoint(
            model, optimizer=checkpoints.variables_of(self.optimizer), step=self.step
        )
        self.manager = checkpoints.make_manager(
            self.checkpoint, directory, training.keep_checkpoints
        )
        # Nothing here needs AutoGraph, which takes longer than all the rest of the tracing.
        self._train_step = tf.function(self._distributed_step, autograph=False)

    def run(self, make_dataset: MakeDataset, batch_size: int) -> dict[str, float]:
        """Trains to the last step, from the newest checkpoint if there is one.

        Args:
          make_dataset: number of examples already seen -> a dataset of global batches; see
            `Reader.train`.
          batch_size: of the global batch.

        Returns:
          The losses of the last steps, averaged over `log_every`.

        Raises:
          Preempted: on SIGTERM or Ctrl-C, after a checkpoint has been written.
          NotFiniteError: if a loss or gradient is not finite; nothing of it is saved.
        """
        restored = checkpoints.restore(self.checkpoint, self.directory)
        start = int(self.step.numpy())
        if restored:
            logger.info("Going on from step %d of %d.", start, self.config.steps)
        dataset = make_dataset(start * batch_size)
        if self.strategy.num_replicas_in_sync > 1:
            dataset = self.strategy.experimental_distribute_dataset(dataset)
        writer = tf.summary.create_file_writer(str(self.directory / "tensorboard"))
        last: dict[str, float] = {}
        with (
            _StopSignals() as stop,
            writer.as_default(),
            Progress(self.config.steps, "train", "steps", initial=start) as progress,
        ):
            saved_at = time.monotonic()
            batches = iter(dataset)
            for step in range(start, self.config.steps):
                waited = time.monotonic()
                batch = next(batches)
                waited = time.monotonic() - waited
                metrics = self._numbers(self._train_step(batch), batch)
                self._log(step + 1, metrics, waited)
                last = metrics
                progress.update(1, loss=metrics["loss"])
                if stop.requested:
                    self.manager.save(self.step)
                    raise Preempted(
                        f"Stopped at step {step + 1}; the same command goes on from it."
                    )
                if time.monotonic() - saved_at > self.config.checkpoint_every_seconds:
                    self.manager.save(self.step)
                    saved_at = time.monotonic()
        if self.manager.latest_checkpoint is None or start < self.config.steps:
            self.manager.save(self.step)
        return last

    def _log(self, step: int, metrics: dict[str, float], waited: float) -> None:
        if step % self.config.log_every and step != self.config.steps:
            return
        for name, value in metrics.items():
            tf.summary.scalar(f"train/{name}", value, step)
        tf.summary.scalar("train/input_wait_seconds", waited, step)

    def _numbers(self, metrics: dict[str, tf.Tensor], batch: Any) -> dict[str, float]:
        values = {name: float(value) for name, value in metrics.items()}
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            examples = [
                identity.decode(errors="replace")
                for local in self.strategy.experimental_local_results(batch["example_id"])
                for identity in local.numpy().tolist()
            ]
            raise NotFiniteError(
                f"{', '.join(wrong)} not finite at step {int(self.step.numpy())}; examples: "
                f"{', '.join(examples)}. Nothing of this step was saved; lower the learning rate "
                "or look at these examples, and start again from the last checkpoint."
            )
        return values

    def _distributed_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        replica_metrics = self.strategy.run(self._replica_step, args=(batch,))
        first = self.strategy.experimental_local_results
        return {name: first(value)[0] for name, value in replica_metrics.items()}

    def _replica_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One step; the metrics returned are those of the global batch, on every replica."""
        context = tf.distribute.get_replica_context()
        replicas = self.strategy.num_replicas_in_sync

        def gather(tensor: tf.Tensor) -> tf.Tensor:
            return tensor if replicas == 1 else context.all_gather(tensor, axis=0)

        def total(tensor: Any) -> Any:
            if replicas == 1:
                return tensor
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)

        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            embeddings, valid = embed_batch(self.model, self.objective, batch, training=True)
            loss, terms, counts = self.objective(embeddings, valid, gather)
        gradients = tape.gradient(loss, variables)
        # Some weights take no part in some graphs' losses.
        gradients = [
            tf.zeros_like(variable) if gradient is None else tf.convert_to_tensor(gradient)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        # Clip the true gradient, the sum over replicas; the optimizer adds up once more.
        gradients = [total(gradient) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, use_norm=norm)
        self.optimizer.apply([gradient / replicas for gradient in gradients], variables)
        self.step.assign_add(1)
        metrics = {"loss": total(loss), "gradient_norm": norm}
        metrics |= {f"loss/{pair}": total(term) for pair, term in terms.items()}
        metrics |= {f"pairs/{pair}": count for pair, count in counts.items()}
        metrics["learning_rate"] = tf.convert_to_tensor(self.optimizer.learning_rate)
        return metrics


def embed_batch(
    model: EmbeddingGraph, objective: Objective, batch: Batch, training: bool
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Embeds a batch for an objective.

    Args:
      model: the network.
      objective: says which pairs, so which modalities and spaces.
      batch: see `Reader`; "text" is [B, P, words].
      training: as in `BatchNorm`.

    Returns:
      Embeddings "PAIR/MODALITY" and validity by modality, as `Objective` takes them.
    """
    inputs = {modality: batch[modality] for modality in objective.modalities}
    valid = {modality: batch[f"valid/{modality}"] for modality in objective.modalities}
    rows: dict[str, Any] = {}
    for modality in objective.modalities:
        if modality == "text":
            shape = tf.shape(inputs["text"])
            inputs["text"] = tf.reshape(inputs["text"], [-1, inputs["text"].shape[-1]])
            rows["text"] = tf.reshape(valid["text"], [-1])
        elif modality != "video":
            # Frames are always there, so video needs no mask and keeps the fused batch norm.
            rows[modality] = valid[modality]
    outputs = model(inputs, training=training, valid=rows)
    embeddings = {}
    for pair in objective.pairs:
        space = model.common_space(*PAIRS[pair])
        for modality in PAIRS[pair]:
            embedding = outputs[modality][space]
            if modality == "text":
                embedding = tf.reshape(embedding, [shape[0], shape[1], embedding.shape[-1]])
            embeddings[f"{pair}/{modality}"] = embedding
    return embeddings, valid


class _StopSignals:
    """Turns SIGTERM and Ctrl-C into a request that the loop answers after the running step."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> _StopSignals:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._previous[number] = signal.signal(number, self._request)
            except ValueError:  # not in the main thread: then the caller handles signals
                break
        return self

    def _request(self, number: int, frame: Any) -> None:
        del frame
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
