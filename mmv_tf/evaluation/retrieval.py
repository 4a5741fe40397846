# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zero-shot retrieval: recall, median and mean rank, and how likely chance would do as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmv_tf.evaluation.ranking import normalize as normalize
from mmv_tf.evaluation.ranking import ranks as ranks

RECALLS = (1, 5, 10)


def permutation_p_value(
    queries: np.ndarray, items: np.ndarray, permutations: int = 9999, seed: int = 0
) -> float:
    """Chance that a random pairing of queries and items has as good a mean rank.

    One-sided; the observed pairing counts as one of the permutations, so that the least possible
    value is 1 / (permutations + 1). It takes the items for independent: see `grouped_p_values`.
    """
    rank = _all_ranks(queries, items)
    return _p_value(rank, lambda generator: generator.permutation(len(rank)), permutations, seed)


def grouped_p_values(
    queries: np.ndarray,
    items: np.ndarray,
    groups: Sequence[Any] | np.ndarray,
    permutations: int = 9999,
    seed: int = 0,
) -> dict[str, float]:
    """`permutation_p_value` for items that come in groups: blocks of a film, films.

    Items of one group are alike, so they are no independent samples.

    Args:
      queries, items: float [N, D], in the order of time.
      groups: the group of each pair.
      permutations, seed: of the pairings.

    Returns:
      "p_value_blocks": groups change places as wholes, each item's neighbours staying beside it: is
      the right group found? "p_value_within_blocks": items change places inside their groups only:
      is the right item found among its neighbours? Empty if there is one group, or no group has
      two items.
    """
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(index == group) for group in range(index.max(initial=-1) + 1)]
    if len(members) < 2 or max(map(len, members)) < 2:
        return {}
    rank = _all_ranks(queries, items)
    places = np.concatenate(members)

    def wholes(generator: np.random.Generator) -> np.ndarray:
        order = np.concatenate([members[group] for group in generator.permutation(len(members))])
        paired = np.empty_like(order)
        paired[places] = order
        return paired

    def inside(generator: np.random.Generator) -> np.ndarray:
        paired = np.empty_like(places)
        for rows in members:
            paired[rows] = generator.permutation(rows)
        return paired

    return {
        "p_value_blocks": _p_value(rank, wholes, permutations, seed),
        "p_value_within_blocks": _p_value(rank, inside, permutations, seed),
    }


def _all_ranks(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Rank of item j for query i, ties counted against it: int [N, N]."""
    queries, items = normalize(queries, "query"), normalize(items, "item")
    similarity = queries @ items.T
    ordered = np.sort(similarity, axis=1)
    return np.stack(
        [
            len(queries) - np.searchsorted(line, row, side="left")
            for line, row in zip(ordered, similarity, strict=True)
        ]
    )


def _p_value(
    rank: np.ndarray,
    pairing: Callable[[np.random.Generator], np.ndarray],
    permutations: int,
    seed: int,
) -> float:
    """The share of pairings, the observed one among them, whose sum of ranks is no more."""
    observed, rows = np.trace(rank), np.arange(len(rank))
    generator = np.random.default_rng(seed)
    as_good = sum(rank[rows, pairing(generator)].sum() <= observed for _ in range(permutations))
    return (1 + int(as_good)) / (1 + permutations)


def retrieval_metrics(
    queries: np.ndarray,
    items: np.ndarray,
    permutations: int = 9999,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
) -> dict[str, float]:
    """Recall, median and mean rank of item i for query i, beside what chance gives.

    Returns:
      "count"; "R@1", "R@5", "R@10" in [0, 1]; "median_rank"; "mean_rank"; the same with "chance/"
      before it; "p_value" of the mean rank (`permutation_p_value`); with `groups`, those of
      `grouped_p_values`.
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
    if groups is not None:
        metrics |= grouped_p_values(queries, items, groups, permutations, seed)
    return metrics
