# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Approximate search in large matrices with a FAISS inverted file whose recall is measured.

Windows form clusters; only those closest to the query are searched, with 8 bits per dimension. The
rows found are rescored with the matrix: only their choice is approximate, not their scores.
"""

from __future__ import annotations

import json
import math
import pathlib
import time
from typing import Any

import numpy as np

from mmv_tf.search.exact import Term, best, products
from mmv_tf.util import files
from mmv_tf.util.safe_files import Count, read_json

# Ours: 64 vectors train a cluster; more take longer without better results.
_TRAIN_PER_LIST = 64
_TRAIN_MOST = 1 << 18
_ROUNDS = 10  # Iterations of k-means.
_QUERIES = 200
_NEIGHBORS = 10  # Recall of the ten best rows.
_NOISE = 0.5
_PROBES = (4, 8, 16, 32, 64, 128, 256)
# Target for choosing the number of probes; a bit above the promised recall as it is an estimate.
_RECALL = 0.97
# Candidates per result, since 8 bits may misorder close ones.
_WIDER = 4


def available() -> bool:
    """Return whether FAISS is installed."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def build(
    matrix: np.ndarray, path: pathlib.Path, queries: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """Build an inverted file for a matrix, and choose how many clusters each query searches.

    Args:
      matrix: float16 or float32 [N, D], unit vectors; N in the tens of thousands or more.
      path: path to the `.faiss` file; the result is written to a `.json` file beside it.
      queries: float32 [Q, D], typical queries; by default, rows of the matrix with noise of half
        their norm.
      seed: seed for choosing rows.

    Returns:
      {"lists", "probes", "recall" (measured, for the ten best), "queries", "neighbours",
      "exact_ms", "faiss_ms" (medians per query), "seconds"}.
    """
    import faiss

    started = time.monotonic()
    generator = np.random.default_rng(seed)
    number, dim = matrix.shape
    lists = max(1, min(round(4 * math.sqrt(number)), number // 39))
    sample = min(number, _TRAIN_MOST, _TRAIN_PER_LIST * lists)
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = seed + 1
    index.cp.spherical = True
    index.cp.niter = _ROUNDS
    rows = np.sort(generator.choice(number, sample, replace=False))
    index.train(_float32(matrix[rows]))
    for start in range(0, number, 1 << 16):
        index.add(_float32(matrix[start : start + (1 << 16)]))
    if queries is None:
        queries = _noisy(matrix, generator)
    else:
        rows = generator.choice(len(queries), min(_QUERIES, len(queries)), replace=False)
        queries = _float32(queries[np.sort(rows)])
    exact_seconds, truth = _timed(
        queries, lambda query: best([Term(matrix, query, 1.0)], _NEIGHBORS)[0]
    )
    report: dict[str, Any] = {}
    wrapped = Approximate(index, matrix)
    for probes in _PROBES:
        index.nprobe = min(probes, lists)
        seconds, found = _timed(queries, lambda query: wrapped.best(query, _NEIGHBORS)[0])
        hits = [len(set(mine) & set(right)) for mine, right in zip(found, truth, strict=True)]
        report = {
            "lists": lists,
            "probes": index.nprobe,
            "recall": float(np.mean(hits) / min(_NEIGHBORS, number)),
            "queries": len(queries),
            "neighbours": _NEIGHBORS,
            "exact_ms": round(1e3 * exact_seconds, 3),
            "faiss_ms": round(1e3 * seconds, 3),
        }
        if report["recall"] >= _RECALL or probes >= lists:
            break
    report["seconds"] = round(time.monotonic() - started, 1)
    with files.replacing(path) as temporary:
        faiss.write_index(index, str(temporary))
    files.write_text(json.dumps(report) + "\n", path.with_suffix(".json"))
    return report


class Approximate:
    """An inverted file and its matrix.

    Args:
      index: FAISS index.
      matrix: float16 or float32 [N, D].
    """

    def __init__(self, index: Any, matrix: np.ndarray):
        self._index = index
        self._matrix = matrix

    @classmethod
    def load(cls, path: pathlib.Path, matrix: np.ndarray) -> Approximate | None:
        """Map the file written by `build`; None if there is no file or no FAISS.

        Raises:
          ValueError: the file is damaged or belongs to another matrix.
        """
        if not path.exists() or not available():
            return None
        import faiss

        report = read_json(path.with_suffix(".json"), {"probes": Count})
        try:
            index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise ValueError(f"{path} can't be read by FAISS; delete it.") from error
        if (index.ntotal, index.d) != matrix.shape:
            raise ValueError(f"{path} belongs to another matrix; delete it.")
        index.nprobe = int(report["probes"])
        return cls(index, matrix)

    def best(self, vector: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return up to `count` rows with exact cosines, best first."""
        _, found = self._index.search(vector[np.newaxis], min(_WIDER * count, len(self._matrix)))
        rows = np.sort(found[0][found[0] >= 0])
        cosines = products(self._matrix[rows], vector)
        order = np.argsort(-cosines, kind="stable")[:count]
        return rows[order], cosines[order]


def _float32(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows, np.float32)


def _noisy(matrix: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return rows with noise, scaled to unit length."""
    rows = matrix[np.sort(generator.choice(len(matrix), min(_QUERIES, len(matrix)), replace=False))]
    noise = generator.standard_normal(rows.shape, np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = _float32(rows) + noise
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _timed(queries: np.ndarray, search: Any) -> tuple[float, list[np.ndarray]]:
    """Return the median seconds per query, and the rows found."""
    seconds, found = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), found
