# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The process that measures, which `python -m benchmarks.gpu` starts, limits and replaces.

  python -m benchmarks.gpu.process FOLDER END PARTS

FOLDER holds the report, END is a Unix time, and PARTS are names of `plan`, joined by commas.
"""

from __future__ import annotations

import itertools
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from benchmarks.gpu import series
from benchmarks.gpu.parity import parity
from benchmarks.gpu.report import Report
from benchmarks.gpu.speed import speed
from benchmarks.gpu.uses import uses
from benchmarks.gpu.work import REAL, SMALL, Setup
from benchmarks.measure import machine

# Name of a part -> its series; in order of importance.
PARTS = {"parity": parity, "uses": uses, "speed": speed}


def main(folder: str, end: str, parts: str) -> None:
    """Measure the cases that the report has not got yet."""
    tf.get_logger().setLevel("ERROR")  # many models are traced, which TensorFlow warns of
    gpus = tf.config.list_physical_devices("GPU")
    setup = _prepared(gpus)
    report = Report.read(pathlib.Path(folder))
    if not report.begun:
        if not gpus:
            print("TensorFlow finds no GPU: checking the code on the CPU.", file=sys.stderr)
        if len(gpus) > 1:
            print(f"Using the first of {len(gpus)} GPUs.", file=sys.stderr)
        cases = itertools.chain.from_iterable(one.cases for one in plan(setup, parts))
        report.begin(_facts(gpus), cases)
    series.run(plan(setup, parts), report, setup.device, float(end))


def plan(setup: Setup, parts: str) -> Iterator[series.Series]:
    """Yield all series of the parts, the most important first."""
    for name in parts.split(","):
        yield from PARTS[name](setup)


def _prepared(gpus: list[Any]) -> Setup:
    """Configure TensorFlow's devices: the first GPU alone, or two logical CPUs."""
    if gpus:
        tf.config.set_visible_devices(gpus[:1], "GPU")
        tf.config.experimental.set_memory_growth(gpus[0], True)
        return REAL
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [logical, logical])
    return SMALL


def _facts(gpus: list[Any]) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    build = tf.sysconfig.get_build_info()
    return {
        "device": str(details.get("device_name", "GPU")) if gpus else "no GPU",
        "compute_capability": details.get("compute_capability"),
        "gpus": len(gpus),
        "tensorflow": tf.__version__,
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        **machine(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
