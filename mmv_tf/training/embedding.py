# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""From a batch to the embeddings that an objective compares."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.losses import PAIRS, Objective

Batch = dict[str, tf.Tensor]


def needed_entries(batch: Batch, objective: Objective) -> Batch:
    """The entries of a batch that training takes; names and captions are left out."""
    return {
        key: batch[key]
        for modality in objective.modalities
        for key in (modality, f"valid/{modality}")
    }


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
