# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ranks of retrieval against the plain matrix product that they are made of, and their memory.

  python -m benchmarks.retrieval                  # 20,000 x 20,000, the speed
  python -m benchmarks.retrieval --count=100000   # as large as promised, the memory

Prints one line of JSON: nanoseconds a pair of both, their ratio, the ratio of processor time (which
other programs disturb less), and the process's peak memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import time

import numpy as np
from absl import app, flags

from mmv_tf.evaluation.ranking import ranks

_COUNT = flags.DEFINE_integer("count", 20_000, "Queries and items.", lower_bound=2)
_DIM = flags.DEFINE_integer("dim", 256, "Of the embeddings (PAPER section 1: 256).", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Times that each is measured, in turn.", lower_bound=1)
# Of the plain product: a block whose similarities (as many as fit 400 MB) nobody looks at.
_ROWS = 1000


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    count, dim = _COUNT.value, _DIM.value
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((count, dim), np.float32)
    items = queries + 4 * generator.standard_normal((count, dim), np.float32)
    before = _peak_bytes()
    seconds: dict[str, list[float]] = {"ranks": [], "product": []}
    processor: dict[str, list[float]] = {"ranks": [], "product": []}
    for _ in range(_ROUNDS.value):
        start, used = time.perf_counter(), time.process_time()
        rank = ranks(queries, items)
        seconds["ranks"].append(time.perf_counter() - start)
        processor["ranks"].append(time.process_time() - used)
        peak = _peak_bytes()
        start, used = time.perf_counter(), time.process_time()
        # No more rows than are needed for a fair speed; all would take as long again.
        rows = min(count, 20 * _ROWS)
        block = np.empty([_ROWS, count], np.float32)
        for first in range(0, rows, _ROWS):
            part = queries[first : min(first + _ROWS, rows)]
            np.matmul(part, items.T, out=block[: len(part)])
        seconds["product"].append((time.perf_counter() - start) * count / rows)
        processor["product"].append((time.process_time() - used) * count / rows)
        del block
    mine, plain = (statistics.median(seconds[name]) for name in ("ranks", "product"))
    used_mine, used_plain = (statistics.median(processor[name]) for name in ("ranks", "product"))
    print(
        json.dumps(
            {
                "benchmark": "retrieval",
                "count": count,
                "dim": dim,
                "seconds": round(mine, 2),
                "ranks_ns_per_pair": round(1e9 * mine / count**2, 3),
                "product_ns_per_pair": round(1e9 * plain / count**2, 3),
                "ratio": round(mine / plain, 3),
                "processor_ratio": round(used_mine / used_plain, 3),
                "peak_bytes": peak,
                "peak_bytes_above_imports_and_data": peak - before,
                "median_rank": float(np.median(rank)),
            }
        )
    )


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    app.run(main)
