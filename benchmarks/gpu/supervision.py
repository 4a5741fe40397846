# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Time limits for the measuring process, which is replaced after a measurement that ended it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from typing import Any

from benchmarks.gpu.report import Report

_ROOT = pathlib.Path(__file__).parents[2]
# Ours: two to three times what the slowest measurement should take, tracing and XLA included.
_CASE_SECONDS = 120.0
_GRACE_SECONDS = 3.0  # for a process that is about to end by itself


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
