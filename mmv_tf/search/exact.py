# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exact search: computes the scores of all windows, in blocks that fit in the cache."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Sequence

import numpy as np
import threadpoolctl

# Rows per block; 2 MB of float32 with 256 dimensions. Ours: a quarter of the size is slower.
_ROWS = 2048
# A float16's bits in the position of a float32's are the number times 2^-112, subnormals included.
_SHIFT = 13
_SIGN_EXPONENT_FRACTION = np.int32(-0x70000001)  # without the copies of the sign
_SCALE = np.float32(2.0**112)


@dataclasses.dataclass(frozen=True)
class Term:
    """A term in a score, for one query.

    Attributes:
      matrix: float16 or float32 [N, D], the windows' unit vectors.
      vector: float32 [D], of unit length.
      weight: weight in the score; a negative weight avoids the query.
    """

    matrix: np.ndarray
    vector: np.ndarray
    weight: float

    def __len__(self) -> int:
        return len(self.matrix)

    def cosines(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return the cosine similarities of rows, float32 [rows]."""
        return products(self.matrix[rows], self.vector)


@dataclasses.dataclass(frozen=True)
class RangesTerm:
    """A term in a score whose rows have several vectors, of which the best counts.

    Attributes:
      vectors: float16 or float32 [V, D], unit vectors.
      ranges: int64 [N, 2], each row's first vector and last + 1; at least one vector.
      vector, weight: see `Term`.
    """

    vectors: np.ndarray
    ranges: np.ndarray
    vector: np.ndarray
    weight: float

    def __len__(self) -> int:
        return len(self.ranges)

    def cosines(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return the best cosine similarities of rows, float32 [rows]."""
        ranges = np.asarray(self.ranges[rows])
        if not len(ranges):
            return np.zeros((0, *self.vector.shape[1:]), np.float32)
        if isinstance(rows, slice):  # Neighbors share vectors, which are scored once.
            low = int(ranges[:, 0].min())
            values = products(self.vectors[low : int(ranges[:, 1].max())], self.vector)
            ranges = ranges - low
        else:
            places = np.concatenate([np.arange(first, end) for first, end in ranges])
            values = products(self.vectors[places], self.vector)
            ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
            ranges = np.stack([ends - (ranges[:, 1] - ranges[:, 0]), ends], axis=1)
        # Every second result belongs to a gap, or to the sentinel, where a last range may end.
        padded = np.concatenate([values, np.full_like(values[:1], -np.inf)])
        return np.maximum.reduceat(padded, ranges.reshape(-1), axis=0)[::2]


AnyTerm = Term | RangesTerm


def scores(terms: Sequence[AnyTerm], rows: slice | np.ndarray) -> np.ndarray:
    """Return the weighted mean cosine similarity of rows, float32 [rows], by absolute weights."""
    total = sum(abs(term.weight) for term in terms)
    result = np.float32(terms[0].weight / total) * terms[0].cosines(rows)
    for term in terms[1:]:
        result += np.float32(term.weight / total) * term.cosines(rows)
    return result


def products(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the products of rows and a vector, computed in float32.

    NumPy converts float16 values one by one, which takes five times as long as the product. Integer
    operations on whole blocks take less time than reading twice the bytes.

    Args:
      rows: float16 or float32 [N, D], finite.
      vector: float32 [D], of at most unit length, or several, [D, Q].

    Returns:
      float32 [N] or [N, Q].
    """
    if rows.dtype != np.float16:
        return rows @ vector
    bits = np.asarray(rows).view(np.int16).astype(np.int32)
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _SIGN_EXPONENT_FRACTION, out=bits)
    return bits.view(np.float32) @ (vector * _SCALE)


def best(
    terms: Sequence[AnyTerm], count: int, usable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the highest scores.

    Args:
      terms: at least one term, all with the same number of rows.
      count: maximum number of rows to return.
      usable: bool [N], mask of the rows that may appear in results; None if all may.

    Returns:
      Rows int64 [n] and scores float32 [n], n <= count, best first; ties are in row order.
    """
    number = len(terms[0])
    threads = max(1, min(len(os.sched_getaffinity(0)), -(-number // _ROWS)))

    def share(first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best of every n-th block, for n threads."""
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

    # Memory is faster than BLAS on one thread, so each thread has its own blocks.
    with _libraries().limit(limits=1, user_api="blas"):
        if threads == 1:
            return share(0)
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            shares = list(pool.map(share, range(threads)))
    rows, values = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    return _first(rows, values, count)


def best_of_each(
    terms: Sequence[AnyTerm],
    usable: np.ndarray | None = None,
    excluded: Sequence[tuple[int, int, int]] = (),
) -> np.ndarray:
    """Return each query's highest score, float32 [Q]; -inf if there are no rows.

    Args:
      terms: the queries' parts, whose `vector` is float32 [D, Q]; see `scores`.
      usable: bool [N], mask of the rows that may appear in results; None if all may.
      excluded: (query, first row, last row + 1), rows that don't count for a query.
    """
    result = np.full(terms[0].vector.shape[1], -np.inf, np.float32)
    for start in range(0, len(terms[0]), _ROWS):
        values = scores(terms, slice(start, start + _ROWS))
        if usable is not None:
            values[~usable[start : start + _ROWS]] = -np.inf
        for query, first, end in excluded:
            if first < start + _ROWS and end > start:
                values[max(first - start, 0) : max(end - start, 0), query] = -np.inf
        np.maximum(result, values.max(axis=0, initial=-np.inf), out=result)
    return result


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    """Return BLAS's controller; cached, because finding it takes as long as a query."""
    return threadpoolctl.ThreadpoolController()


def _first(rows: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((rows, -values))[:count]
    return rows[order], values[order]
