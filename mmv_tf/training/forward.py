# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Embeds a batch in the form that an objective compares."""

from __future__ import annotations

import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.losses import PAIRS, Objective
from mmv_tf.training import duplicates

Batch = dict[str, tf.Tensor]


def make_objective(training: ml_collections.ConfigDict) -> Objective:
    """Return the objective that the training settings describe."""
    return Objective(
        dict(training.weights),
        training.temperature,
        training.symmetric,
        training.loss_chunk_rows,
        training.textless_negatives,
    )


def needed_entries(batch: Batch, objective: Objective, mask: str = duplicates.NONE) -> Batch:
    """Return the parts of a batch that training uses; names and captions are dropped.

    Args:
      batch: see `Reader`.
      objective: its pairs determine the modalities.
      mask: duplicates to mask; see `duplicates.ids_of`, whose ids are stored as "ids".
    """
    needed = {
        key: batch[key]
        for modality in objective.modalities
        for key in (modality, f"valid/{modality}")
    }
    ids = duplicates.ids_of(batch, mask)
    return needed if ids is None else needed | {"ids": ids}


def embed_batch(
    model: EmbeddingGraph,
    objective: Objective,
    batch: Batch,
    training: bool,
    fixed_shapes: bool = False,
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Embed a batch for an objective.

    Rows without a modality skip its backbone: they cost nothing, and batch norm never sees them and
    keeps its fast kernel, which does not support masks. Their embeddings are zero. If no row has
    the modality, the first row passes through without changing statistics.

    Args:
      model: the model.
      objective: its pairs determine the modalities and spaces.
      batch: see `Reader`; "text" is [B, P, words].
      training: as in `BatchNorm`.
      fixed_shapes: pass every row, with a mask for the batch norms; for XLA, which needs static
        shapes.

    Returns:
      Embeddings "PAIR/MODALITY" and validity by modality, in the form that `Objective` expects.
    """
    valid = {modality: batch[f"valid/{modality}"] for modality in objective.modalities}
    inputs, rows, places = {}, {}, {}
    for modality in objective.modalities:
        values = batch[modality]
        rows[modality] = tf.reshape(valid[modality], [-1])
        if modality == "text":
            values = tf.reshape(values, [-1, values.shape[-1]])
        if not fixed_shapes:
            places[modality], rows[modality] = _present(rows[modality])
            values = tf.gather(values, places[modality])
        inputs[modality] = values
    outputs = model(inputs, training=training, valid=rows)
    embeddings = {}
    for pair in objective.pairs:
        space = model.common_space(*PAIRS[pair])
        for modality in PAIRS[pair]:
            embedding = outputs[modality][space]
            shape = [*valid[modality].shape, embedding.shape[-1]]
            if not fixed_shapes:
                total = tf.size(valid[modality])
                at = places[modality][:, tf.newaxis]
                embedding = tf.scatter_nd(at, embedding, [total, shape[-1]])
            embedding = tf.reshape(embedding, [*tf.unstack(tf.shape(valid[modality])), shape[-1]])
            embeddings[f"{pair}/{modality}"] = tf.ensure_shape(embedding, shape)
    return embeddings, valid


def _present(valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the indices of the valid rows, [n], at least one; and whether they count."""
    counts = tf.reduce_any(valid)
    first = tf.range(tf.size(valid)) == 0
    return tf.where(valid | (first & ~counts))[:, 0], counts
