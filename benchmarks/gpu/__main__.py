# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tests and benchmarks one GPU in six minutes: parity, speed, memory, and each use of a model.

  python -m benchmarks.gpu --output=gpu_report

Writes results.json and report.md. The most important measurements come first; measurements that
were skipped for lack of time are listed. Without a GPU, prints a note and runs the same code on the
CPU with small sizes, whose results are meaningless for a GPU.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import flags

from benchmarks.gpu import parity, speed, uses
from benchmarks.gpu.page import make_page
from benchmarks.gpu.work import REAL, SMALL, Clock, Row, Sizes
from benchmarks.measure import machine
from mmv_tf.util import command_line, files

_OUTPUT = flags.DEFINE_string("output", "gpu_report", "Folder for results.json and report.md.")
# Ours: a minute less than six minutes, since a measurement that has started is completed.
_SECONDS = flags.DEFINE_float(
    "seconds", 300.0, "Start no measurement after this many seconds.", lower_bound=1.0
)

# Speed measurements that precede XLA, which compiles for a minute.
_FIRST_ROWS = 24


def main(argv: list[str]) -> int:
    """Measure, write and print the report."""
    del argv
    start = time.monotonic()
    folder = pathlib.Path(_OUTPUT.value)
    files.check_writable(folder / "results.json")
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        print(
            "TensorFlow finds no GPU: running the same code on the CPU with small sizes.",
            file=sys.stderr,
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    sizes = REAL if gpus else SMALL
    clock = Clock(_SECONDS.value, "GPU:0" if gpus else "CPU:0")
    rows = list(_rows(sizes, clock, bool(gpus)))
    results = {
        "device": _device(gpus),
        "on_gpu": bool(gpus),
        "tensorflow": tf.__version__,
        **machine(),
        "rows": rows,
        "left_out": clock.left_out,
        "seconds": round(time.monotonic() - start, 1),
    }
    page = make_page(results)
    files.write_text(json.dumps(results, indent=1) + "\n", folder / "results.json")
    files.write_text(page, folder / "report.md")
    print(page)
    return command_line.FAILED if any(_failed(row) for row in rows) else 0


def _rows(sizes: Sizes, clock: Clock, on_gpu: bool) -> Iterator[Row]:
    """Yield all rows, the most important first."""
    yield from parity.parity(sizes, clock)
    yield from uses.reading(sizes, clock)
    yield from uses.exported(sizes, clock, on_gpu)
    yield from uses.images(sizes, clock)
    by_batch = speed.by_batch(sizes, clock)
    yield from itertools.islice(by_batch, _FIRST_ROWS)
    yield from speed.by_xla(sizes, clock)
    yield from by_batch


def _device(gpus: list[Any]) -> str:
    if not gpus:
        return "no GPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", "GPU"))


def _failed(row: Row) -> bool:
    """Return whether a row has a problem other than running out of memory."""
    return row.get("problem", "out of memory") != "out of memory"


if __name__ == "__main__":
    command_line.run(main)
