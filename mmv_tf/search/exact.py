# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exact search: every window's score, from blocks that stay in the cache."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Sequence

import numpy as np
import threadpoolctl

# Rows of a block: with 256 dimensions 8 MB, which the cores' caches hold. Ours: half the size or
# eight times the size are slower.
_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class Term:
    """A query's part in the score.

    Attributes:
      matrix: float32 [N, D], unit vectors of the windows.
      vector: float32 [D], of unit length.
      weight: may be negative: away from it.
    """

    matrix: np.ndarray
    vector: np.ndarray
    weight: float


def scores(terms: Sequence[Term], rows: slice | np.ndarray) -> np.ndarray:
    """Weighted sum of cosines of some rows, over the sum of the weights' sizes: float32 [rows]."""
    total = sum(abs(term.weight) for term in terms)
    result = np.float32(terms[0].weight / total) * (terms[0].matrix[rows] @ terms[0].vector)
    for term in terms[1:]:
        result += np.float32(term.weight / total) * (term.matrix[rows] @ term.vector)
    return result


def best(
    terms: Sequence[Term], count: int, usable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the highest scores.

    Args:
      terms: at least one; their matrices have as many rows.
      count: how many are wanted.
      usable: bool [N], rows that may be found; None for all.

    Returns:
      int64 [n] and float32 [n], n <= count, best first; of equal ones the first row first.
    """
    number = len(terms[0].matrix)
    threads = max(1, min(len(os.sched_getaffinity(0)), -(-number // _ROWS)))

    def share(first: int) -> tuple[np.ndarray, np.ndarray]:
        """The best of every n-th block, n threads."""
        rows, values = np.zeros(0, np.int64), np.zeros(0, np.float32)
        least = -np.inf
        for start in range(first * _ROWS, number, threads * _ROWS):
            piece = scores(terms, slice(start, start + _ROWS))
            found = piece > least
            if usable is not None:
                found &= usable[start : start + _ROWS]
            new = np.flatnonzero(found)
            if not len(new):
                continue
            rows = np.concatenate([rows, new + start])
            values = np.concatenate([values, piece[new]])
            if len(values) >= 2 * count:
                rows, values = _first(rows, values, count)
                least = values[-1]
        return _first(rows, values, count)

    # The rows are read once and the BLAS of one thread can't read as fast as memory gives them: so
    # each thread has its own blocks.
    with _libraries().limit(limits=1, user_api="blas"):
        if threads == 1:
            return share(0)
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            shares = list(pool.map(share, range(threads)))
    rows, values = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    return _first(rows, values, count)


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    """Looked for once, which takes as long as a query."""
    return threadpoolctl.ThreadpoolController()


def _first(rows: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((rows, -values))[:count]
    return rows[order], values[order]
