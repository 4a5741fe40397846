# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tests and benchmarks one GPU in six minutes: parity, speed, memory, and each use of a model.

  python -m benchmarks.gpu --output=gpu_report

Writes results.json after each measurement and report.md at the end. The most important
measurements come first. One that takes too long is stopped, one that fails or ends its process is
reported, and those for which no time is left are listed. Of several GPUs, the first is used.
Without a GPU, prints a note and runs the same code on the CPU with small sizes, whose results are
meaningless for a GPU.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from absl import flags

from benchmarks.gpu.page import make_page
from benchmarks.gpu.report import OUT_OF_MEMORY, RESULTS, Report
from mmv_tf.util import command_line, files

# The parts of `process.PARTS`, which is not imported: this process leaves the GPU alone.
_PARTS = ("parity", "uses", "speed")

_OUTPUT = flags.DEFINE_string("output", "gpu_report", "Folder for results.json and report.md.")
_SECONDS = flags.DEFINE_float(
    "seconds", 345.0, "Stop measuring after this many seconds.", lower_bound=1.0
)
_CHOSEN = flags.DEFINE_multi_enum("part", list(_PARTS), _PARTS, "Part to measure; repeatable.")

_ROOT = pathlib.Path(__file__).parents[2]
# Ours: two to three times what the slowest measurement should take, tracing and XLA included.
_CASE_SECONDS = 120.0
_GRACE_SECONDS = 3.0  # for a process that is about to end by itself


def main(argv: list[str]) -> int:
    """Measure, write and print the report."""
    del argv
    start = time.time()
    folder = pathlib.Path(_OUTPUT.value).absolute()
    files.check_writable(folder / RESULTS)
    files.check_writable(folder / "report.md")
    Report.new(folder)
    # Ends by an exception, so that the measuring process is ended too.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(128 + signal.SIGTERM))
    command = [sys.executable, "-m", "benchmarks.gpu.process"]
    parts = [part for part in _PARTS if part in _CHOSEN.value]
    end = start + _SECONDS.value
    report = supervise([*command, str(folder), str(end), ",".join(parts)], folder, end)
    report.close(time.time() - start)
    page = make_page(report.results)
    files.write_text(page, folder / "report.md")
    print(page)
    problems = {row.get("problem", OUT_OF_MEMORY) for row in report.results["rows"]}
    return command_line.FAILED if problems - {OUT_OF_MEMORY} else 0


def supervise(
    command: list[str], folder: pathlib.Path, end: float, case_seconds: float = _CASE_SECONDS
) -> Report:
    """Run a measuring process to its end, and again after a measurement that ended it.

    Args:
      command: the process, which continues the report.
      folder: the report's folder.
      end: Unix time at which it is stopped.
      case_seconds: time limit of a measurement.

    Raises:
      ValueError: the process ended outside a measurement.
    """
    while True:
        process = subprocess.Popen(command, cwd=_ROOT, start_new_session=True)
        try:
            problem = _wait(process, folder, end, case_seconds)
        finally:
            # Its group, which includes a server that it started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        report = Report.read(folder)
        if problem is None or time.time() >= end:
            return report
        if report.results["running"] is None:
            raise ValueError(f"{problem} outside a measurement; its messages are above.")
        report.finish({"problem": problem})


def _wait(
    process: subprocess.Popen[Any], folder: pathlib.Path, end: float, case_seconds: float
) -> str | None:
    """Wait for a process; return None if it succeeded, else why it ended or has to."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(0.5)
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            return None if status == 0 else f"the process ended with {name}"
        if time.time() > end + _GRACE_SECONDS:
            return "stopped"
        running = Report.read(folder).results["running"]
        if running is not None and time.time() > running["since"] + case_seconds:
            return f"stopped after {case_seconds:g} s"


if __name__ == "__main__":
    command_line.run(main)
