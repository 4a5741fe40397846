# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Series of cases that share a model, each measured within a time limit, failures recorded."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from benchmarks.gpu.report import OUT_OF_MEMORY, Report, Row, described

Measure = Callable[[Row], Row]
# XLA and cuDNN report a full memory with other errors than TensorFlow.
_FULL = ("RESOURCE_EXHAUSTED", "out of memory", "CUDA_ERROR_OUT_OF_MEMORY")


@dataclasses.dataclass(frozen=True)
class Series:
    """Cases that share a model.

    Attributes:
      cases: descriptions of the cases, in order.
      prepare: creates what the cases share, on the measured device; yields a function from a case
        to its figures.
      chained: whether no case can succeed after one that failed: larger batches, or uses of a file
        that could not be written.
    """

    cases: tuple[Row, ...]
    prepare: Callable[[], AbstractContextManager[Measure]]
    chained: bool = True


def run(plan: Iterable[Series], report: Report, device: str, end: float) -> None:
    """Measure the cases that the report has not got yet; start none after `end` (Unix time)."""
    for series in plan:
        _run_one(series, report, device, end)
        # Not between the cases of a series: this also drops its traced functions.
        keras.utils.clear_session()
        gc.collect()


def _run_one(series: Series, report: Report, device: str, end: float) -> None:
    with contextlib.ExitStack() as stack, tf.device(device):
        shared: list[Measure] = []

        def figures(case: Row) -> Row:
            if not shared:
                shared.append(stack.enter_context(series.prepare()))
            return shared[0](case)

        for case in series.cases:
            if not report.lacks(case):
                continue
            if time.time() > end:
                report.skip(case, "no time was left")
            elif series.chained and report.failed_before(case, series.cases):
                report.skip(case, "the case before it failed")
            else:
                report.start(case)
                print(described(case), file=sys.stderr, flush=True)
                report.finish(attempt(lambda case=case: figures(case), device))  # type: ignore[misc]


def attempt(measure: Callable[[], Row], device: str) -> Row:
    """Return figures with the peak of the device's memory, or a problem in place of figures."""
    on_gpu = device.startswith("GPU")
    if on_gpu:
        tf.config.experimental.reset_memory_stats(device)
    try:
        row = measure()
    except Exception as error:
        row = {"problem": _problem(error)}
        if row["problem"] != OUT_OF_MEMORY:
            traceback.print_exc()
    # After the exception is gone: its traceback holds tensors.
    if on_gpu:
        peak: Any = tf.config.experimental.get_memory_info(device)["peak"]
        row["peak_gb"] = peak / 1e9
    return row


def _problem(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, tf.errors.ResourceExhaustedError) or any(sign in text for sign in _FULL):
        return OUT_OF_MEMORY
    return f"{type(error).__name__}: {text[:200]}"
