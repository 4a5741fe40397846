# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training step: the global batch's gradient, clipped, applied if it is finite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.layers.batch_norm import each_replica_by_itself
from mmv_tf.layers.replicas import rows_of_all_replicas
from mmv_tf.losses import Objective
from mmv_tf.training.forward import Batch, embed_batch
from mmv_tf.training.freezing import Freezing
from mmv_tf.training.optimizer import (
    LossScale,
    WeightAverages,
    apply_summed,
    check_optimizer,
)
from mmv_tf.training.run_folder import variables_of

# Gradients are exchanged in packs of this size, ours. With TensorFlow's default of one pack, 143 MB
# (the S3D-G FAC model) took 1.3 s between two processes with one core each; packs of 0.5 to 4 MB
# took 0.31 s, packs of 16 MB 0.44 s.
_PACK_BYTES = 4 << 20

# Gradients by variable, and a vector of the step's losses and counts: both are sums.
_Sums = tuple[list[tf.Tensor], tf.Tensor]


class TrainStep:
    """Computes and applies a batch's gradient.

    The batch may be split into pieces, so that it need not fit into memory at once:
      - `accumulate` pieces are separate small batches: the gradient is the mean of their gradients,
        and each piece has only its own negatives;
      - `gradient_cache` pieces (Gao et al., arXiv 2101.06983) are embedded one after the other, the
        loss is computed on the whole batch, and its gradient flows back through the pieces, which
        are embedded once more for this. Batch norm still computes its statistics per piece.

    A step whose loss or gradient is not finite changes no weights.

    Args:
      model, objective, optimizer: the optimizer is built for the variables of `freezing`.
      strategy: the strategy under which they were created.
      training: settings; see `default_config` of the trainer.
      clip_norm: maximum norm of the whole, all-reduced gradient; 0 for no limit.
      freezing: the variables to train; None trains all.

    Raises:
      ValueError: settings contradict each other.
    """

    def __init__(
        self,
        model: EmbeddingGraph,
        objective: Objective,
        strategy: tf.distribute.Strategy,
        optimizer: keras.optimizers.Optimizer,
        training: ml_collections.ConfigDict,
        clip_norm: float = 0.0,
        freezing: Freezing | None = None,
    ):
        check_optimizer(optimizer)
        replicas = strategy.num_replicas_in_sync
        if training.accumulate < 1 or training.gradient_cache < 1:
            raise ValueError("training.accumulate and training.gradient_cache must be 1 or more.")
        if training.accumulate > 1 and training.gradient_cache > 1:
            raise ValueError("Use either training.accumulate or training.gradient_cache, not both.")
        if training.jit_compile and replicas > 1:
            raise ValueError(
                "training.jit_compile supports only one replica: the batch norms and losses of "
                "several replicas communicate, which XLA can't compile here."
            )
        self.model = model
        self.objective = objective
        self.strategy = strategy
        self.optimizer = optimizer
        self._clip_norm = clip_norm
        freezing = freezing or Freezing(model)
        self._variables, self._multiples = freezing.variables, freezing.multiples
        self._pieces = max(training.accumulate, training.gradient_cache)
        self._cached = training.gradient_cache > 1
        self._fixed_shapes = training.jit_compile or isinstance(strategy, tf.distribute.TPUStrategy)
        self._replicas = replicas
        self._common_statistics = training.common_batch_statistics
        with strategy.scope():
            self.step = tf.Variable(
                0,
                dtype=tf.int64,
                trainable=False,
                name="step",
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            self.averages = None
            if training.average_decay:
                self.averages = WeightAverages(self._trainable, training.average_decay)
            self.loss_scale = LossScale() if model.compute_dtype == "float16" else None
        # If training continues, a bad batch must not affect the batch norms' moving statistics.
        self._undoes = training.nonfinite_limit > 1 or self.loss_scale is not None
        pairs = objective.pairs
        self.sum_names = ["loss", *(f"loss/{p}" for p in pairs), *(f"pairs/{p}" for p in pairs)]
        self.names = [*self.sum_names, "gradient_norm", "learning_rate", "loss_scale", "finite"]
        # Nothing here needs AutoGraph, which would take longer than the rest of the tracing.
        self._replica_gradients = self._gradients
        if training.jit_compile:
            self._replica_gradients = tf.function(
                self._gradients, jit_compile=True, autograph=False
            )
        compiled = {
            name: tf.function(getattr(self, name), autograph=False)
            for name in ("_at_once", "_start", "_add", "_embed", "_loss", "_back", "_finish")
        }
        self._compiled = compiled

    def __call__(self, batch: Batch, flags: tf.Tensor) -> tf.Tensor:
        """Run a step.

        Args:
          batch: this worker's batch, split for its replicas; see `needed_entries`.
          flags: float32 vector, summed over the workers.

        Returns:
          float32 vector: the values of `names` for the global batch, and the flags.
        """
        call = self._compiled
        if self._pieces == 1:
            return call["_at_once"](batch, flags)
        sums, statistics = call["_start"]()
        indices = [tf.constant(index) for index in range(self._pieces)]
        if not self._cached:
            for index in indices:
                sums = call["_add"](batch, index, sums)
            return call["_finish"](sums, statistics, flags)
        embeddings = [call["_embed"](batch, index) for index in indices]
        gradients, vector = call["_loss"](batch, embeddings)
        for index in indices:
            sums = call["_back"](batch, index, gradients, sums)
        return call["_finish"]((sums[0], vector), statistics, flags)

    @property
    def variables(self) -> dict[str, list[tf.Variable]]:
        """Training variables besides the weights, for a checkpoint."""
        found = {"optimizer": variables_of(self.optimizer), "step": [self.step]}
        if self.averages is not None:
            found["averages"] = self.averages.variables
        if self.loss_scale is not None:
            found["loss_scale"] = self.loss_scale.variables
        return found

    # ---- In cross-replica context: each is one TensorFlow function ------------------------------

    def _at_once(self, batch: Batch, flags: tf.Tensor) -> tf.Tensor:
        statistics = self.strategy.run(self._statistics)
        sums = self.strategy.run(self._replica_gradients, args=(batch,))
        return self._finish(sums, statistics, flags)

    def _start(self) -> tuple[_Sums, list[tf.Tensor]]:
        def zeros() -> _Sums:
            zero = [tf.zeros_like(variable) for variable in self._trainable]
            return zero, tf.zeros([len(self.sum_names)])

        return self.strategy.run(zeros), self.strategy.run(self._statistics)

    def _add(self, batch: Batch, index: tf.Tensor, sums: _Sums) -> _Sums:
        def add(batch: Batch, sums: _Sums) -> _Sums:
            found = self._replica_gradients(self._piece(batch, index))
            return tf.nest.map_structure(lambda a, b: a + b / self._pieces, sums, found)

        return self.strategy.run(add, args=(batch, sums))

    def _embed(self, batch: Batch, index: tf.Tensor) -> dict[str, tf.Tensor]:
        def embed(batch: Batch) -> dict[str, tf.Tensor]:
            before = self._read_moving()
            found, _ = self._embed_batch(self._piece(batch, index))
            with tf.control_dependencies(list(found.values())):
                # The second pass, with gradients, updates the statistics.
                self._write_moving(before)
            return found

        return self.strategy.run(embed, args=(batch,))

    def _loss(
        self, batch: Batch, pieces: Sequence[dict[str, tf.Tensor]]
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        def loss(batch: Batch, pieces: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            embeddings = {
                name: tf.concat([piece[name] for piece in pieces], axis=0) for name in pieces[0]
            }
            with tf.GradientTape() as tape:
                tape.watch(embeddings)
                scaled, vector = self._objective(embeddings, self._valid(batch), batch.get("ids"))
            return tape.gradient(scaled, embeddings), vector

        return self.strategy.run(loss, args=(batch, pieces))

    def _back(
        self, batch: Batch, index: tf.Tensor, gradients: dict[str, tf.Tensor], sums: _Sums
    ) -> _Sums:
        def back(batch: Batch, gradients: dict[str, tf.Tensor], sums: _Sums) -> _Sums:
            upstream = self._piece(gradients, index)
            with self._recorded() as tape:
                found, _ = self._embed_batch(self._piece(batch, index))
            more = self._differentiate(tape, found, upstream)
            return [total + part for total, part in zip(sums[0], more, strict=True)], sums[1]

        return self.strategy.run(back, args=(batch, gradients, sums))

    def _finish(self, sums: _Sums, statistics: list[tf.Tensor], flags: tf.Tensor) -> tf.Tensor:
        first = self.strategy.experimental_local_results
        gradients, values = self.strategy.run(self._reduce, args=(*sums, flags))
        finite = first(values)[0][self.names.index("finite")] > 0

        def apply() -> tf.Tensor:
            self.strategy.run(self._apply, args=(gradients,))
            return tf.constant(True)

        applied = tf.cond(finite, apply, lambda: tf.constant(False))
        self.strategy.run(self._count, args=(applied, statistics))
        return first(values)[0]

    # ---- In replica context ---------------------------------------------------------------------

    @property
    def _trainable(self) -> list[tf.Variable]:
        return [variable.value for variable in self._variables]

    def _piece(self, batch: dict[str, tf.Tensor], index: tf.Tensor) -> dict[str, tf.Tensor]:
        def part(tensor: tf.Tensor) -> tf.Tensor:
            size = tensor.shape[0] // self._pieces
            piece = tensor[index * size : (index + 1) * size]
            return tf.ensure_shape(piece, [size, *tensor.shape[1:]])

        return {name: part(tensor) for name, tensor in batch.items()}

    def _embed_batch(self, batch: Batch) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        apart = self._replicas > 1 and not self._common_statistics
        with each_replica_by_itself() if apart else contextlib.nullcontext():
            return embed_batch(self.model, self.objective, batch, True, self._fixed_shapes)

    def _valid(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {modality: batch[f"valid/{modality}"] for modality in self.objective.modalities}

    def _objective(
        self,
        embeddings: dict[str, tf.Tensor],
        valid: dict[str, tf.Tensor],
        ids: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the loss to differentiate, and this replica's share of `sum_names`."""
        loss, terms, counts = self.objective(embeddings, valid, rows_of_all_replicas, ids)
        # The counts already cover all replicas.
        shares = [count / self._replicas for count in counts.values()]
        vector = tf.stack([loss, *terms.values(), *shares])
        scale = 1.0 if self.loss_scale is None else tf.convert_to_tensor(self.loss_scale.scale)
        return loss * scale, vector

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[tf.GradientTape]:
        """Record what depends on trained variables: frozen layers below them leave no trace."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._trainable)
            yield tape

    def _gradients(self, batch: Batch) -> _Sums:
        with self._recorded() as tape:
            embeddings, valid = self._embed_batch(batch)
            scaled, vector = self._objective(embeddings, valid, batch.get("ids"))
        return self._differentiate(tape, scaled), vector

    def _differentiate(
        self, tape: tf.GradientTape, target: Any, upstream: Any = None
    ) -> list[tf.Tensor]:
        # Some weights take no part in the losses of some graphs.
        found = tape.gradient(
            target,
            self._trainable,
            output_gradients=upstream,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return [tf.convert_to_tensor(gradient) for gradient in found]

    def _reduce(
        self, gradients: list[tf.Tensor], sums: tf.Tensor, flags: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Return the unscaled gradient, summed over replicas, and the step's values."""
        sums = tf.concat([sums, flags], axis=0)
        if self._replicas > 1:
            context = tf.distribute.get_replica_context()
            options = tf.distribute.experimental.CommunicationOptions(bytes_per_pack=_PACK_BYTES)
            *gradients, sums = context.all_reduce(
                tf.distribute.ReduceOp.SUM, [*gradients, sums], options
            )
        sums, flags = sums[: len(self.sum_names)], sums[len(self.sum_names) :]
        scale = tf.ones([])
        if self.loss_scale is not None:
            scale = tf.convert_to_tensor(self.loss_scale.scale)
            gradients = [gradient / scale for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        rate = tf.cast(self.optimizer.learning_rate, tf.float32)
        finite = tf.reduce_all(tf.math.is_finite(tf.concat([sums, [norm]], axis=0)))
        values = [norm, rate, scale, tf.cast(finite, tf.float32)]
        return list(gradients), tf.concat([sums, tf.stack(values), flags], axis=0)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        apply_summed(self.optimizer, gradients, self._variables, self._multiples)
        if self.averages is not None:
            self.averages.update(tf.convert_to_tensor(self.step))

    def _count(self, applied: tf.Tensor, statistics: list[tf.Tensor]) -> None:
        if self._undoes:
            now = self._read_moving()
            self._write_moving(
                [tf.where(applied, new, old) for new, old in zip(now, statistics, strict=True)]
            )
        if self.loss_scale is not None:
            self.loss_scale.update(applied)
        self.step.assign_add(1)

    def _statistics(self) -> list[tf.Tensor]:
        return self._read_moving() if self._undoes else []

    @property
    def _moving(self) -> list[tf.Variable]:
        """Return the batch norms' statistics; frozen word vectors never change."""
        return [
            variable.value
            for variable in self.model.non_trainable_variables
            if variable.name.startswith("moving_")
        ]

    def _read_moving(self) -> list[tf.Tensor]:
        return [tf.identity(variable) for variable in self._moving]

    def _write_moving(self, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(self._moving, values, strict=True):
            variable.assign(value)
