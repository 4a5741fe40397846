# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares computing retrieval ranks with the matrix product alone, and measures memory.

  python -m benchmarks.retrieval                  # 20,000 x 20,000, for speed
  python -m benchmarks.retrieval --count=100000   # the target size, for memory

Prints one line of JSON: nanoseconds per pair for both, their ratio, the ratio of CPU times (which
other programs affect less), and the peak memory of the process.
"""

from __future__ import annotations

import numpy as np
from absl import app, flags

from benchmarks.measure import Times, interleaved, peak_bytes, print_result, rounded, timed
from mmv_tf.evaluation.retrieval import ranks

_COUNT = flags.DEFINE_integer("count", 20_000, "Number of queries, and of items.", lower_bound=2)
_DIM = flags.DEFINE_integer("dim", 256, "Size of the embeddings (MMV's S_vat: 256).", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of both, in turn.", lower_bound=1)
# Rows of the plain product: a block whose similarities fit in 400 MB and are discarded.
_ROWS = 1000


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    count, dim = _COUNT.value, _DIM.value
    generator = np.random.default_rng(0)
    queries = generator.standard_normal((count, dim), np.float32)
    items = queries + 4 * generator.standard_normal((count, dim), np.float32)
    before, found = peak_bytes(), {}
    # As many rows as a fair comparison needs; all rows would take twice as long.
    rows = min(count, 20 * _ROWS)

    def ranked() -> None:
        found["ranks"] = ranks(queries, items)
        found.setdefault("peak_bytes", peak_bytes())

    def block() -> None:
        out = np.empty([_ROWS, count], np.float32)
        for first in range(0, rows, _ROWS):
            part = queries[first : min(first + _ROWS, rows)]
            np.matmul(part, items.T, out=out[: len(part)])

    def product() -> Times:
        return Times(*(value * count / rows for value in timed(block)))

    times = interleaved({"ranks": ranked, "product": product}, _ROUNDS.value, warm=0)
    mine, plain = times["ranks"], times["product"]
    print_result(
        "retrieval",
        {"count": count, "dim": dim},
        times,
        ns_per_pair={name: round(1e9 * t.seconds / count**2, 3) for name, t in times.items()},
        ratio=rounded(mine.seconds / plain.seconds),
        processor_ratio=rounded(mine.cpu_seconds / plain.cpu_seconds),
        peak_bytes=found["peak_bytes"],
        peak_bytes_above_imports_and_data=found["peak_bytes"] - before,
        median_rank=float(np.median(found["ranks"])),
    )


if __name__ == "__main__":
    app.run(main)
