# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zero-shot retrieval: recall, median and mean rank, and how likely chance would do as well."""

from __future__ import annotations

import numpy as np

from mmv_tf.evaluation.ranking import normalize as normalize
from mmv_tf.evaluation.ranking import ranks as ranks

RECALLS = (1, 5, 10)


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
    for k in RECALLS:
        metrics[f"R@{k}"] = float((rank <= k).mean())
        metrics[f"chance/R@{k}"] = min(k, count) / count
    metrics["median_rank"] = float(np.median(rank))
    metrics["mean_rank"] = float(rank.mean())
    metrics["chance/median_rank"] = metrics["chance/mean_rank"] = (count + 1) / 2
    metrics["p_value"] = permutation_p_value(queries, items, permutations, seed)
    return metrics
