# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the word of each row in a table of word vectors.

A model's table is a selection of the vectors in a published file (such as Google News word2vec), in
another order. The file is read once, in blocks, so memory does not grow with it. Rows and
vectors are compared by direction: unit vectors are projected onto the few axes along which the
rows differ most, and looked up in a k-d tree. A projection never lengthens a distance, so no match
is missed; the full cosine similarity rejects the few vectors that are close only in projection.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import math
import os

import numpy as np
import scipy.spatial

from mmv_tf.pretrained.word_vectors import open_word_vectors
from mmv_tf.util.progress import Progress

# Ours: all three, and the number of axes.
NEAREST = 0.9999
# Rounding a number to bfloat16 changes it by at most 2^-8 of its value: then 1 - cosine is at most
# 2^-17, or 7.6e-6. float16 and float32 stay far below.
SAME_DIRECTION = 1 - 8e-6
LEAST_SHARE = 0.95
_AXES = 8
# Twice the largest distance that float32 rounding adds.
_SLACK = 1e-5
# Vectors are looked up in blocks of this size; ours.
_LOOKED_UP = 4096
_MOST_PAIRS = 4_000_000
_KINDS = ("nearest", "same direction", "equal")


@dataclasses.dataclass(frozen=True)
class RowWords:
    """Words found for a table's rows.

    Attributes:
      rows: word -> row, in the order of the rows, then of the file.
      counts: number of matched rows by kind: "equal" (all bytes), "same direction" (another norm,
        or rounded) and "nearest" (cosine similarity of at least `NEAREST`).
      zeros: rows of zeros.
      unmatched: other rows without a word.
      repeated: unmatched rows that hold the most common vector among these; empty if no vector is
        repeated.
    """

    rows: dict[str, int]
    counts: dict[str, int]
    zeros: list[int]
    unmatched: list[int]
    repeated: list[int]


def find_row_words(table: np.ndarray, path: str | os.PathLike[str]) -> RowWords:
    """Find the words of a table's rows in a word-vector file.

    A row gets the word whose vector has identical bytes, else one with the same direction, else the
    nearest with a cosine similarity of at least `NEAREST`. Words with the same vector share its
    row, in the file's order (most frequent first). A word that matches several rows (copies of a
    row) gets the best of them, or the first if they are equally good; the other rows count as
    matched. If the file holds a word twice, the first vector that matches a row counts. Rows of
    zeros have no direction and no word.

    Args:
      table: float32 [rows, dims], finite.
      path: a file that `load_word_vectors` reads.

    Raises:
      ValueError: the file is damaged or holds vectors of another size, or fewer than `LEAST_SHARE`
        of the rows have a word or are zeros.
      OSError: the file can't be read.
    """
    name = os.fspath(path)
    with open_word_vectors(path) as file:
        if file.dims != table.shape[1]:
            raise ValueError(
                f"{name} holds vectors of {file.dims} values, but the network's word table is "
                f"{list(table.shape)}; pass the file that the table was made from, with "
                f"{table.shape[1]} values per word."
            )
        matcher = _Matcher(table)
        words = 0
        with Progress(file.count, "match word vectors", "words") as progress:
            for block_words, vectors in file.blocks:
                for start in range(0, len(block_words), _LOOKED_UP):
                    end = start + _LOOKED_UP
                    matcher.add(block_words[start:end], vectors[start:end], name)
                words += len(block_words)
                progress.update(len(block_words), matched=matcher.matched)
    found = matcher.result()
    if not found.rows or len(found.unmatched) > (1 - LEAST_SHARE) * len(table):
        raise ValueError(_refusal(found, len(table), name, words))
    return found


def _refusal(found: RowWords, rows: int, name: str, words: int) -> str:
    matched = sum(found.counts.values())
    repeated = (
        f"; {len(found.repeated)} of the others hold the same vector" if found.repeated else ""
    )
    return (
        f"{name}: its {words} words include those of {matched} of the table's {rows} rows "
        f"({100 * matched / rows:.1f} %, {len(found.zeros)} more are zeros{repeated}); expected at "
        f"least {LEAST_SHARE:.0%}. Pass the file that the table was made from, or the words in the "
        "order of the rows with --vocabulary."
    )


class _Matcher:
    """Rows of a table, with the best words for each so far.

    Equal rows are looked up once, as one group.
    """

    def __init__(self, table: np.ndarray):
        self._table = np.ascontiguousarray(table, np.float32)
        there = self._table.any(axis=1)
        self.zeros = np.flatnonzero(~there).tolist()
        # Grouped by a hash of their bytes, which takes less memory.
        groups: dict[bytes, list[int]] = {}
        for row in np.flatnonzero(there).tolist():
            key = hashlib.blake2b(self._table[row].tobytes()).digest()
            groups.setdefault(key, []).append(row)
        self._members = list(groups.values())
        self._first = np.array([rows[0] for rows in self._members], np.int64)
        self._units = np.empty((len(self._first), table.shape[1]), np.float32)
        for start in range(0, len(self._first), _LOOKED_UP):
            some = slice(start, start + _LOOKED_UP)
            self._units[some] = _unit(self._table[self._first[some]])
        self._axes = _axes(self._units)
        self._tree = scipy.spatial.cKDTree(self._project(self._units)) if self._members else None
        # Kind of the best match, and the words of this kind with their cosines.
        self._kinds = [-1] * len(self._members)
        self._words: list[list[tuple[str, float]]] = [[] for _ in self._members]

    @property
    def matched(self) -> int:
        """The number of groups with a word."""
        return sum(kind >= 0 for kind in self._kinds)

    def add(self, words: list[str], vectors: np.ndarray, name: str) -> None:
        """Compare some of a file's words with all rows.

        Raises:
          ValueError: the vectors and rows are too similar to distinguish.
        """
        if self._tree is None:
            return
        units = _unit(vectors)
        points = self._project(units)
        reach = math.sqrt(2 - 2 * NEAREST) + _SLACK
        distances, _ = self._tree.query(points, distance_upper_bound=reach)
        # A vector of zeros has no direction either.
        near = np.flatnonzero(np.isfinite(distances) & vectors.any(axis=1))
        if not len(near):
            return
        counts = self._tree.query_ball_point(points[near], reach, return_length=True)
        if counts.sum() > _MOST_PAIRS:
            raise ValueError(
                f"{name}: {len(near)} of its vectors, from {words[near[0]]!r} on, are similar "
                f"to {counts.max()} rows of the table; vectors so alike can't be told apart. Pass "
                "the words in the order of the rows with --vocabulary."
            )
        lists = self._tree.query_ball_point(points[near], reach)
        groups = np.concatenate([np.asarray(one, np.int64) for one in lists])
        indices = np.repeat(near, counts)
        # Equal bytes are compared as integers: -0.0 and 0.0 differ.
        for start in range(0, len(groups), _LOOKED_UP):
            group, index = groups[start : start + _LOOKED_UP], indices[start : start + _LOOKED_UP]
            cosines = np.einsum(
                "nd,nd->n", self._units[group].astype(np.float64), units[index].astype(np.float64)
            )
            equal = (
                self._table[self._first[group]].view(np.uint32)
                == np.ascontiguousarray(vectors[index], np.float32).view(np.uint32)
            ).all(axis=1)
            kinds = np.where(equal, 2, np.where(cosines >= SAME_DIRECTION, 1, 0))
            for pair in np.flatnonzero(equal | (cosines >= NEAREST)).tolist():
                self._take(
                    int(group[pair]), words[index[pair]], int(kinds[pair]), float(cosines[pair])
                )

    def _take(self, group: int, word: str, kind: int, cosine: float) -> None:
        best, taken = self._kinds[group], self._words[group]
        if kind > best or (kind == best == 0 and cosine > taken[0][1]):
            self._kinds[group], self._words[group] = kind, [(word, cosine)]
        elif kind == best and kind > 0:
            taken.append((word, cosine))

    def result(self) -> RowWords:
        """Return the findings after all words have been added."""
        best: dict[str, tuple[float, float, int]] = {}
        counts: collections.Counter[int] = collections.Counter()
        unmatched: list[int] = []
        repeated: list[int] = []
        for rows, kind, words in zip(self._members, self._kinds, self._words, strict=True):
            counts[kind] += len(rows)
            if kind < 0:
                unmatched += rows
                repeated = max(repeated, rows if len(rows) > 1 else [], key=len)
            for word, cosine in words:
                # The best of a word's rows, then the first. Equal bytes have a cosine of 1.
                quality = (kind, 1.0 if kind == 2 else cosine, -rows[0])
                best[word] = max(quality, best.get(word, quality))
        # Stable: the file's order within a row.
        rows_of = {word: -int(quality[2]) for word, quality in best.items()}
        return RowWords(
            rows=dict(sorted(rows_of.items(), key=lambda pair: pair[1])),
            counts={name: counts[kind] for kind, name in reversed(list(enumerate(_KINDS)))},
            zeros=self.zeros,
            unmatched=sorted(unmatched),
            repeated=repeated,
        )

    def _project(self, units: np.ndarray) -> np.ndarray:
        return units @ self._axes


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors, float32 [n, dims], computed in float64 for any scale; zeros stay."""
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    norms[norms == 0] = 1
    return (vectors / norms[:, np.newaxis]).astype(np.float32)


def _axes(units: np.ndarray) -> np.ndarray:
    """Return orthonormal axes [dims, `_AXES` or dims] along which unit vectors differ most."""
    if not len(units):
        return np.zeros((units.shape[1], 1), np.float32)
    mean = units.mean(axis=0, dtype=np.float64)
    covariance = (units.T @ units).astype(np.float64) / len(units) - np.outer(mean, mean)
    return np.linalg.eigh(covariance)[1][:, -_AXES:].astype(np.float32)
