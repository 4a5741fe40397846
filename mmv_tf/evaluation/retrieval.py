# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zero-shot retrieval: exact ranks in bounded memory, recall, and chance levels."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import threadpoolctl

# Ours: items x queries per block: 1 MB of similarities, which stays in a core's cache.
_ITEMS, _QUERIES = 512, 512

# Rows of flags that are summed in 8 bits.
_ROWS = 128

# Ours: above the error of float32 products of unit vectors (4e-7 was measured at 4096-d).
_DOUBT = 2e-6

# Ours: doubtful pairs that are compared at once.
_PAIRS = 1 << 16


def normalize(embeddings: np.ndarray, name: str) -> np.ndarray:
    """Return rows scaled to unit length, float32.

    Raises:
      ValueError: a value is not finite, a row is zero, or all rows are equal; ranks of such
        embeddings are meaningless.
    """
    embeddings = np.asarray(embeddings, np.float32)
    if embeddings.ndim != 2 or not len(embeddings):
        raise ValueError(f"The {name} embeddings have shape {embeddings.shape}; expected [N, D].")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"The {name} embeddings contain values that are not finite.")
    length = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings, dtype=np.float64))
    if (length == 0).any():
        raise ValueError(f"{int((length == 0).sum())} of the {name} embeddings are zero.")
    unit = embeddings / length.astype(np.float32)[:, np.newaxis]
    # In pieces, the first of which usually differs.
    pieces = (unit[start : start + _QUERIES] for start in range(0, len(unit), _QUERIES))
    if len(unit) > 1 and all((np.abs(piece - unit[0]) <= 1e-7).all() for piece in pieces):
        raise ValueError(f"The {name} embeddings are all equal.")
    return unit


def ranks(
    queries: np.ndarray,
    items: np.ndarray,
    targets: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Return the rank of each query's target by cosine similarity: 1 is best; ties count against.

    Args:
      queries: float [Q, D].
      items: float [N, D].
      targets: int [Q], index of each query's matching item; by default, item i for query i.
      valid: booleans [N], False for items to ignore. A query whose target is ignored has rank 0.

    Returns:
      int64 [Q], from 1 to the number of valid items: one plus the number of other items that are at
      least as similar.

    Raises:
      ValueError: as for `normalize`, or shapes or targets don't match.
    """
    queries, items = np.asarray(queries), np.asarray(items)
    if targets is None:
        if queries.shape != items.shape:
            raise ValueError(f"Expected one item per query; got {items.shape} for {queries.shape}.")
        targets = np.arange(len(queries))
    targets = np.asarray(targets)
    if targets.shape != queries.shape[:1] or queries.shape[1:] != items.shape[1:]:
        raise ValueError(
            f"Queries {queries.shape}, items {items.shape} and targets {targets.shape} differ; "
            "expected [Q, D], [N, D] and [Q]."
        )
    if len(targets) and (targets.min() < 0 or targets.max() >= len(items)):
        raise ValueError(
            f"Targets range from {targets.min()} to {targets.max()}; expected 0 to "
            f"{len(items) - 1}."
        )
    if valid is None:
        return _ranks(normalize(queries, "query"), normalize(items, "item"), targets)
    valid = np.asarray(valid, bool)
    if valid.shape != items.shape[:1]:
        raise ValueError(f"The mask has shape {valid.shape}; expected {items.shape[:1]}.")
    result = np.zeros(len(queries), np.int64)
    asked = valid[targets]
    if asked.any():
        place = np.cumsum(valid) - 1
        result[asked] = _ranks(
            normalize(queries[asked], "query"),
            normalize(items[valid], "item"),
            place[targets[asked]],
        )
    return result


def _ranks(queries: np.ndarray, items: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Rank rows of unit length, all valid; see `ranks`."""
    items, copies, kind = _distinct(items)
    targets = kind[targets]
    starts = range(0, len(queries), _QUERIES)
    local = threading.local()

    def block_ranks(start: int) -> np.ndarray:
        if not hasattr(local, "block"):
            local.block = _Block(items, copies)
        stop = start + _QUERIES
        return local.block.ranks(queries[start:stop], targets[start:stop])

    # Counting takes much of the time, and BLAS does not parallelize it. So each thread has its own
    # blocks, and BLAS uses one thread in each.
    with (
        threadpoolctl.threadpool_limits(1, user_api="blas"),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        return np.concatenate(list(pool.map(block_ranks, starts)))


class _Block:
    """Ranks for blocks of queries, computed in reused memory."""

    def __init__(self, items: np.ndarray, copies: np.ndarray | None):
        self._items = items
        self._copies = copies
        self._similarity = np.empty(_ITEMS * _QUERIES, np.float32)
        whole = -(-_ITEMS * _QUERIES // 8) * 8  # see `_unequal`
        self._flags = [np.empty(whole, bool) for _ in range(2)]

    def ranks(self, queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return ranks, int64 [Q]."""
        items, copies = self._items, self._copies
        own = np.einsum("qd,qd->q", queries, items[targets])
        low, high = own - _DOUBT, own + _DOUBT
        count = np.zeros(len(queries), np.int64)
        columns = np.ascontiguousarray(queries.T)
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        for first in range(0, len(items), _ITEMS):
            rows = items[first : first + _ITEMS]
            shape = (len(rows), len(queries))
            size = shape[0] * shape[1]
            similarity, surely, maybe = (
                buffer[:size].reshape(shape) for buffer in (self._similarity, *self._flags)
            )
            np.matmul(rows, columns, out=similarity)
            np.greater(similarity, high, out=surely)
            np.greater_equal(similarity, low, out=maybe)
            count += _add_rows(surely, None if copies is None else copies[first : first + _ITEMS])
            row, column = np.divmod(_unequal(self._flags[0], self._flags[1], size), len(queries))
            waiting.append((first + row, column))
            # Compared together: one by one they would take longer than the blocks.
            last = first + _ITEMS >= len(items)
            if last or sum(len(some) for some, _ in waiting) >= _PAIRS:
                row, column = (np.concatenate(some) for some in zip(*waiting, strict=True))
                count += _count_doubtful(queries, items, targets, row, column, copies)
                waiting.clear()
        return count


def _unequal(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """Return where the first `size` flags of two long arrays differ, compared in eights."""
    whole = -(-size // 8) * 8
    for flags in (first, second):
        flags[size:whole] = False
    eights = first[:whole].view(np.uint64) != second[:whole].view(np.uint64)
    near = (8 * np.flatnonzero(eights)[:, np.newaxis] + np.arange(8)).reshape(-1)
    return near[first[near] != second[near]]


def _distinct(items: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return the distinct rows, their counts (None: one each), and the distinct row of each row.

    Without this, all pairs in a collection of repeated items would be doubtful.
    """
    # Sorting numbers takes far less time and memory than sorting rows.
    factors = np.random.default_rng(0).integers(1, 2**63, items.shape[1], np.uint64)
    bits = np.ascontiguousarray(items).view(np.uint32)
    hashes = np.concatenate(
        [
            (bits[start : start + _QUERIES] * factors).sum(axis=1)
            for start in range(0, len(bits), _QUERIES)
        ]
    )
    _, first, kind, copies = np.unique(
        hashes, return_index=True, return_inverse=True, return_counts=True
    )
    everything = np.arange(len(items))
    if len(first) == len(items):
        return items, None, everything
    if any(
        (items[start : start + _QUERIES] != items[first[kind[start : start + _QUERIES]]]).any()
        for start in range(0, len(items), _QUERIES)
    ):
        return items, None, everything  # Two rows share a hash: all pairs are compared.
    return items[first], copies, kind.reshape(-1)


def _add_rows(flags: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Return the number of true flags in each column, counting row i `times[i]` times."""
    if times is not None:
        # Exact: the counts are below 2 ** 24.
        return (times.astype(np.float32) @ flags.astype(np.float32)).astype(np.int64)
    bits = flags.view(np.uint8)
    whole = len(bits) // _ROWS * _ROWS
    pieces = bits[:whole].reshape(-1, _ROWS, bits.shape[1])
    # Sums in 8 bits are many times faster than in 64.
    count = np.add.reduce(pieces, axis=1, dtype=np.uint8).sum(axis=0, dtype=np.int64)
    return count + np.add.reduce(bits[whole:], axis=0, dtype=np.uint8)


def _count_doubtful(
    queries: np.ndarray,
    items: np.ndarray,
    targets: np.ndarray,
    row: np.ndarray,
    query: np.ndarray,
    copies: np.ndarray | None,
) -> np.ndarray:
    """Count the pairs (item row, query) at least as similar as the query's target."""
    count = np.zeros(len(queries), np.int64)
    for start in range(0, len(row), _PAIRS):
        some, asked = row[start : start + _PAIRS], query[start : start + _PAIRS]
        vectors = queries[asked].astype(np.float64)
        # `sum` adds in an order that depends only on the length.
        theirs = (items[some] * vectors).sum(axis=1)
        own = (items[targets[asked]] * vectors).sum(axis=1)
        found = theirs >= own
        times = None if copies is None else copies[some[found]]
        count += np.bincount(asked[found], weights=times, minlength=len(queries)).astype(np.int64)
    return count


RECALLS = (1, 5, 10)


def permutation_p_value(
    queries: np.ndarray, items: np.ndarray, permutations: int = 9999, seed: int = 0
) -> float:
    """Return the probability that a random pairing has a mean rank as low as the observed one.

    The test is one-sided. The observed pairing counts as one of the permutations, so the smallest
    value is 1 / (permutations + 1). Items must be independent; otherwise see `grouped_p_values`.
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
    """Return p-values for items in groups, such as films or blocks of a film.

    Items in one group are similar and therefore not independent.

    Args:
      queries, items: float [N, D], in time order.
      groups: each pair's group.
      permutations, seed: number of pairings, and their seed.

    Returns:
      "p_value_blocks", which permutes whole groups and tests whether the correct group is found,
      and "p_value_within_blocks", which permutes items inside their groups and tests whether the
      correct item is found among its neighbors. Empty if there is one group, or no group has two
      items.
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
    """Return the rank of item j for query i, int [N, N]; ties count against it."""
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
    """Return the fraction of pairings, including the observed one, with no larger sum of ranks."""
    observed, rows = np.trace(rank), np.arange(len(rank))
    generator = np.random.default_rng(seed)
    as_good = sum(rank[rows, pairing(generator)].sum() <= observed for _ in range(permutations))
    return (1 + int(as_good)) / (1 + permutations)


def rank_metrics(rank: np.ndarray, recalls: Sequence[int] = RECALLS) -> dict[str, float]:
    """Return the fractions "R@k" of ranks up to k, "median_rank" and "mean_rank"."""
    found = {f"R@{k}": float((rank <= k).mean()) for k in recalls}
    return {**found, "median_rank": float(np.median(rank)), "mean_rank": float(rank.mean())}


def chance_metrics(count: int, recalls: Sequence[int] = RECALLS) -> dict[str, float]:
    """Return the expected `rank_metrics` for `count` items in random order."""
    found = {f"R@{k}": min(k, count) / count for k in recalls}
    return {**found, "median_rank": (count + 1) / 2, "mean_rank": (count + 1) / 2}


def retrieval_metrics(
    queries: np.ndarray,
    items: np.ndarray,
    permutations: int = 9999,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
) -> dict[str, float]:
    """Return recall, median and mean rank of item i for query i, and their chance levels.

    Returns:
      "count"; "R@1", "R@5", "R@10" in [0, 1]; "median_rank"; "mean_rank"; the same with the prefix
      "chance/"; "p_value" of the mean rank (`permutation_p_value`); and with `groups`, the p-values
      of `grouped_p_values`.
    """
    rank = ranks(queries, items)
    count = len(rank)
    metrics: dict[str, float] = {"count": count}
    found, chance = rank_metrics(rank), chance_metrics(count)
    for k in RECALLS:
        metrics |= {f"R@{k}": found[f"R@{k}"], f"chance/R@{k}": chance[f"R@{k}"]}
    metrics |= {name: found[name] for name in ("median_rank", "mean_rank")}
    metrics |= {f"chance/{name}": chance[name] for name in ("median_rank", "mean_rank")}
    metrics["p_value"] = permutation_p_value(queries, items, permutations, seed)
    if groups is not None:
        metrics |= grouped_p_values(queries, items, groups, permutations, seed)
    return metrics
