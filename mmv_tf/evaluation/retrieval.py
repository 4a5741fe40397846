# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zero-shot retrieval: ranks, recall, and how likely chance would do as well."""

from __future__ import annotations

import numpy as np

_RECALLS = (1, 5, 10)
# Rows of similarities held at once; ours, 1024 rows of 100,000 columns are 400 MB.
_CHUNK = 1024


def normalize(embeddings: np.ndarray, name: str) -> np.ndarray:
    """Rows divided by their lengths, float32.

    Raises:
      ValueError: if a value is not finite, a row is zero, or all rows are the same: ranks of such
        embeddings mean nothing.
    """
    embeddings = np.asarray(embeddings, np.float32)
    if embeddings.ndim != 2 or not len(embeddings):
        raise ValueError(f"The {name} embeddings have shape {embeddings.shape}, expected [N, D].")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"The {name} embeddings hold values that are not finite.")
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if (length == 0).any():
        raise ValueError(f"{int((length == 0).sum())} of the {name} embeddings are zero.")
    unit = embeddings / length
    if len(unit) > 1 and np.allclose(unit, unit[0], rtol=0, atol=1e-7):
        raise ValueError(f"The {name} embeddings are all the same.")
    return unit


def ranks(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Rank of item i for query i, by cosine; 1 is best. Ties count against the rank.

    Args:
      queries, items: float [N, D].

    Returns:
      int64 [N], from 1 to N: one more than the number of other items at least as similar.
    """
    if queries.shape != items.shape:
        raise ValueError(f"Query i belongs to item i, got {queries.shape} and {items.shape}.")
    queries, items = normalize(queries, "query"), normalize(items, "item")
    result = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _CHUNK):
        similarity = queries[start : start + _CHUNK] @ items.T
        rows = np.arange(len(similarity))
        own = similarity[rows, start + rows]
        # The item itself is among them, hence no "+ 1".
        result[start : start + _CHUNK] = (similarity >= own[:, np.newaxis]).sum(axis=1)
    return result


def permutation_p_value(
    queries: np.ndarray, items: np.ndarray, permutations: int = 9999, seed: int = 0
) -> float:
    """Chance that a random pairing of queries and items has as good a mean rank.

    One-sided; the observed pairing counts as one of the permutations, so that the least possible
    value is 1 / (permutations + 1). Neighbouring clips of one film are alike, so they are not quite
    the independent samples that the test supposes.
    """
    queries, items = normalize(queries, "query"), normalize(items, "item")
    similarity = queries @ items.T
    # rank[i, j]: rank of item j for query i, ties counted against it.
    ordered = np.sort(similarity, axis=1)
    count = len(queries)
    rank = np.stack(
        [
            count - np.searchsorted(line, row, side="left")
            for line, row in zip(ordered, similarity, strict=True)
        ]
    )
    observed = np.trace(rank)
    generator = np.random.default_rng(seed)
    rows = np.arange(count)
    as_good = sum(
        rank[rows, generator.permutation(count)].sum() <= observed for _ in range(permutations)
    )
    return (1 + int(as_good)) / (1 + permutations)


def retrieval_metrics(
    queries: np.ndarray, items: np.ndarray, permutations: int = 9999, seed: int = 0
) -> dict[str, float]:
    """Recall, median and mean rank of item i for query i, beside what chance gives.

    Returns:
      "count"; "R@1", "R@5", "R@10" in [0, 1]; "median_rank"; "mean_rank"; the same with "chance/"
      before it; "p_value" of the mean rank (`permutation_p_value`).
    """
    rank = ranks(queries, items)
    count = len(rank)
    metrics: dict[str, float] = {"count": count}
    for k in _RECALLS:
        metrics[f"R@{k}"] = float((rank <= k).mean())
        metrics[f"chance/R@{k}"] = min(k, count) / count
    metrics["median_rank"] = float(np.median(rank))
    metrics["mean_rank"] = float(rank.mean())
    metrics["chance/median_rank"] = metrics["chance/mean_rank"] = (count + 1) / 2
    metrics["p_value"] = permutation_p_value(queries, items, permutations, seed)
    return metrics
