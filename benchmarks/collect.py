# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs benchmark programs in separate processes and stores their JSON output."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peer import INSTALL_HINT
from mmv_tf.util.configuration import write_json

# Seconds for an interrupted program to remove its files.
_GRACE = 10.0
# Share of busy cores that causes a warning: with one core busy, PyTorch's steps were up to 25 times
# slower, ours twice.
BUSY = 0.15
ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "measurements" / "performance.md"


@dataclasses.dataclass(frozen=True)
class Run:
    """Benchmark program with its options.

    Args:
      module: name of a module in `benchmarks`, or a full module name with dots.
      options: command-line options.
      torch: whether the program compares with PyTorch and accepts --torch_python.
      limit: seconds after which the program counts as hung.
    """

    module: str
    options: tuple[str, ...] = ()
    torch: bool = False
    limit: float = 1200.0

    def command(self, torch_python: str = "") -> list[str]:
        """Return the command line."""
        peer = [f"--torch_python={torch_python}"] if self.torch and torch_python else []
        module = self.module if "." in self.module else f"benchmarks.{self.module}"
        return [sys.executable, "-m", module, *self.options, *peer]


class RunError(Exception):
    """A program returned no result."""


def run_program(command: Sequence[str], limit: float) -> dict[str, Any]:
    """Run a benchmark and return the JSON in its last line; other output goes to the terminal.

    The benchmark runs in its own session. However this call ends, all processes of the session
    are stopped.

    Raises:
      RunError: the benchmark fails, takes too long or prints no JSON.
    """
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"not done after {limit:.0f} s") from error
        finally:
            _end(process)
    if process.returncode:
        raise RunError(f"exited with status {process.returncode}; its message is above")
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise RunError("printed no JSON") from error


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a program as Ctrl-C would, and kill the rest of its session."""
    if process.poll() is None:
        _signal(process, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # all processes have exited
        os.killpg(process.pid, number)


def collect(
    runs: Mapping[str, Run], results: pathlib.Path, torch_python: str = ""
) -> dict[str, str]:
    """Run programs one after the other, and store each result in a file as soon as it exists.

    If a run fails, its earlier result is kept, and the other programs still run.

    Args:
      runs: programs by name.
      results: JSON file, name -> result; created if missing.
      torch_python: a Python that has PyTorch; "" for none.

    Returns:
      Name -> error, for the programs that failed.
    """
    failed: dict[str, str] = {}
    if not torch_python and any(run.torch for run in runs.values()):
        say(f"PyTorch is not installed: comparisons with it are omitted. {INSTALL_HINT}")
    for number, (name, run) in enumerate(runs.items(), start=1):
        command = run.command(torch_python)
        say(f"[{number}/{len(runs)}] {name}: {' '.join(command[1:])}")
        busy = busy_share()
        if busy > BUSY:
            say(f"Other programs use {100 * busy:.0f} % of the CPU: ratios will be misleading.")
        started = time.monotonic()
        try:
            result = run_program(command, run.limit)
        except RunError as error:
            failed[name] = str(error)
            say(f"[{number}/{len(runs)}] {name} failed: {error}")
            continue
        result["took_seconds"] = round(time.monotonic() - started, 1)
        result["busy_before"] = round(busy, 2)
        result["date"] = time.strftime("%Y-%m-%d", time.gmtime())
        write_json({**read_results(results), name: result}, results)
        say(f"[{number}/{len(runs)}] {name}: done in {result['took_seconds']:.0f} s")
    return failed


def busy_share(seconds: float = 1.0) -> float:
    """Return the share of all cores that other programs are using; 0 if unknown."""

    def ticks() -> tuple[int, int]:
        try:
            with open("/proc/stat", encoding="ascii") as file:
                values = [int(value) for value in file.readline().split()[1:9]]
        except OSError:
            return 0, 0
        return sum(values) - values[3] - values[4], sum(values)  # all but idle and iowait

    busy, total = ticks()
    time.sleep(seconds)
    busy_later, total_later = ticks()
    return (busy_later - busy) / max(1, total_later - total)


def read_results(path: pathlib.Path) -> dict[str, Any]:
    """Return the stored results; empty if the file does not exist.

    Raises:
      ValueError: the file is not a results file.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a file of results; remove it.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a file of results; remove it.")
    return found


def say(text: str) -> None:
    """Print progress to stderr, separate from the results."""
    print(text, file=sys.stderr, flush=True)
