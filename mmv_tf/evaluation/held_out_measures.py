# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics for held-out clips, from their embeddings: retrieval, loss, and clips to log.

The embeddings of N clips are in arrays by name: "MODALITY/SPACE" float32 [N, dim], and
"valid/MODALITY" booleans [N].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from mmv_tf.evaluation.retrieval import rank_metrics, ranks
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.losses import PAIRS, Objective
from mmv_tf.training.logging import HeldOutClips

Arrays: TypeAlias = Mapping[str, np.ndarray]

# Logged metrics of retrieval.
KEPT = ("R@1", "R@5", "R@10", "median_rank", "mean_rank", "count")
# Query and item modality, compared in their common space.
DIRECTIONS = (("text", "video"), ("video", "audio"), ("text", "audio"))


def _compared(
    model: EmbeddingGraph, arrays: Arrays
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each direction, the rows that have both modalities, and both embeddings of all rows."""
    for query, item in DIRECTIONS:
        try:
            space = model.common_space(query, item)
        except ValueError:  # this graph can't compare them
            continue
        if f"valid/{query}" not in arrays or f"valid/{item}" not in arrays:
            continue
        rows = arrays[f"valid/{query}"] & arrays[f"valid/{item}"]
        if rows.sum() >= 2:
            name = f"{query}_to_{item}"
            yield name, rows, arrays[f"{query}/{space}"], arrays[f"{item}/{space}"]


def retrieval_metrics(model: EmbeddingGraph, arrays: Arrays) -> dict[str, float]:
    """Return recall, median and mean rank, and number of clips for each direction."""
    found: dict[str, float] = {}
    for name, rows, queries, items in _compared(model, arrays):
        rank = ranks(queries[rows], items[rows])
        metrics = {**rank_metrics(rank), "count": float(rows.sum())}
        found |= {f"{name}/{key}": metrics[key] for key in KEPT}
    return found


def losses(
    model: EmbeddingGraph, objective: Objective, arrays: Arrays, batch_size: int
) -> dict[str, float]:
    """Return the loss and its terms, averaged over full batches.

    Args:
      model: the model.
      objective: the training objective.
      arrays: see the module docstring.
      batch_size: clips in a batch, which are each other's negatives. Rows of a last, smaller batch
        are left out, unless it is the only batch.

    Returns:
      "loss" and each pair's term, such as "loss/va"; empty if the clips lack a modality that the
      objective needs.
    """
    count = len(next(iter(arrays.values())))
    if any(f"valid/{modality}" not in arrays for modality in objective.modalities):
        return {}
    sums = dict.fromkeys(objective.pairs, 0.0)
    counts = dict.fromkeys(objective.pairs, 0.0)
    for start in range(0, max(1, count - batch_size + 1), batch_size):
        rows = slice(start, start + batch_size)
        embeddings = {
            f"{pair}/{modality}": arrays[f"{modality}/{model.common_space(*PAIRS[pair])}"][rows]
            for pair in objective.pairs
            for modality in PAIRS[pair]
        }
        valid = {modality: arrays[f"valid/{modality}"][rows] for modality in objective.modalities}
        _, terms, valid_rows = objective(
            {key: tf.constant(value) for key, value in embeddings.items()},
            {key: tf.constant(value) for key, value in valid.items()},
        )
        for pair, rows_of_pair in valid_rows.items():
            sums[pair] += float(terms[pair]) * float(rows_of_pair)
            counts[pair] += float(rows_of_pair)
    if not all(counts.values()):
        return {}
    means = {pair: sums[pair] / counts[pair] for pair in objective.pairs}
    total = sum(objective.weights[pair] * mean for pair, mean in means.items())
    return {"loss": total} | {f"loss/{pair}": mean for pair, mean in means.items()}


def clips_to_log(model: EmbeddingGraph, arrays: Arrays, media: Arrays) -> HeldOutClips:
    """Return clips with the cosine similarities between all embeddings.

    Args:
      model: the model.
      arrays: see the module docstring; also "name" and "caption", str [N].
      media: "rows", indices of the clips to show; "video", their frames, uint8 [n, T, H, W, 3]; and
        optionally "audio", their spectrograms, float32 [n, frames, mel_bins].
    """
    similarities = {}
    for name, rows, queries, items in _compared(model, arrays):
        cosines = np.full((len(rows), len(rows)), np.nan, np.float32)
        left, right = _unit(queries[rows]), _unit(items[rows])
        cosines[np.ix_(rows, rows)] = left @ right.T
        similarities[name] = cosines
    captions = arrays["caption"]
    if "valid/text" in arrays:
        captions = np.where(arrays["valid/text"], captions, "")
    return HeldOutClips(
        names=tuple(arrays["name"]),
        sentences=tuple(captions),
        shown=tuple(int(row) for row in media["rows"] if row < len(captions)),
        frames=media["video"],
        log_mels=media.get("audio"),
        similarities=similarities,
    )


def _unit(embeddings: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12), np.float32)
