# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shared code of the benchmarks: interleaved runs, medians, and JSON output."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Times(NamedTuple):
    """Wall and CPU seconds of a run, or medians of several runs."""

    seconds: float
    cpu_seconds: float


def timed(run: Callable[[], Any]) -> Times:
    """Run once and return the seconds; CPU seconds include all threads of this process.

    A run in another process measures itself and returns its `Times`.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    if isinstance(found, Times):
        return found
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    runs: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1
) -> dict[str, Times]:
    """Return medians of runs that take turns, so that a disturbance affects all of them.

    Args:
      runs: name -> function to run once per round.
      rounds: number of measured rounds.
      warm: number of rounds before these, for tracing and filling caches.
    """
    found: dict[str, list[Times]] = {name: [] for name in runs}
    for number in range(warm + rounds):
        for name, run in runs.items():
            times = timed(run)
            if number >= warm:
                found[name].append(times)
    return {name: median(times) for name, times in found.items()}


def median(times: list[Times]) -> Times:
    """Return the medians of wall and of CPU seconds."""
    return Times(*(statistics.median(values) for values in zip(*times, strict=True)))


def peak_bytes() -> int:
    """Return the peak memory of this process.

    This is Linux's count for the program itself; `getrusage` starts from the parent's count.
    """
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def machine() -> dict[str, Any]:
    """Return a description of this machine."""
    # Imported here, after the measurement, so that TensorFlow does not affect it.
    from mmv_tf.training.run_summary import processor_name

    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    kinds = [kind for kind in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if kind in flags]
    return {
        "processor": processor_name(),
        "instructions": kinds,
        "cores": len(os.sched_getaffinity(0)),
    }


def print_result(
    benchmark: str,
    inputs: Mapping[str, Any],
    times: Mapping[str, Times] | None = None,
    threads: int = 0,
    **figures: Any,
) -> None:
    """Print a benchmark's line of JSON.

    Args:
      benchmark: its name.
      inputs: sizes, dtypes and other settings.
      times: medians by run.
      threads: maximum number of threads; 0 for the number of cores.
      figures: results by name.
    """
    result: dict[str, Any] = {"benchmark": benchmark, "inputs": dict(inputs)}
    if times:
        result["seconds"] = {name: rounded(one.seconds) for name, one in times.items()}
        result["cpu_seconds"] = {name: rounded(one.cpu_seconds) for name, one in times.items()}
    where = machine()
    print(json.dumps({**result, **figures, **where, "threads": threads or where["cores"]}))


def rounded(value: float, digits: int = 4) -> float:
    """Round to a few significant digits."""
    return float(f"{value:.{digits}g}")
