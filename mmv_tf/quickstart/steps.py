# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the quickstart's steps as separate programs, each once, interruptible and resumable."""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from mmv_tf.util import files
from mmv_tf.util.command_line import PREEMPTED

_PR_SET_PDEATHSIG = 1


class StepError(ValueError):
    """A step's program failed with its own message."""


class Stopped(Exception):
    """The user stopped a step."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A program to run.

    Attributes:
      name: name in messages and in the record.
      command: arguments after the Python executable.
      outputs: files that it writes; if one is missing, the step runs again.
      depends: files that the outcome depends on, besides the command and earlier steps.
    """

    name: str
    command: tuple[str, ...]
    outputs: tuple[pathlib.Path, ...]
    depends: tuple[pathlib.Path, ...] = ()


def run_steps(steps: Sequence[Step], record: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Run the steps in order, skipping steps that were completed with the same inputs.

    Args:
      steps: the steps.
      record: a JSON file of the completed steps, with their seconds and memory.

    Returns:
      The record: name -> {"key", "seconds", "peak_memory_bytes"}.

    Raises:
      StepError: a program failed.
      Stopped: on Ctrl-C or SIGTERM.
    """
    done: dict[str, dict[str, Any]] = {}
    if record.exists():
        done = json.loads(record.read_text(encoding="utf-8"))
    key = ""
    for number, step in enumerate(steps, 1):
        key = _key(step, key)
        title = f"[{number}/{len(steps)}] {step.name}"
        entry = done.get(step.name, {})
        if entry.get("key") == key and all(output.exists() for output in step.outputs):
            print(f"{title}: already done ({entry['seconds']:.0f} s)", flush=True)
            continue
        print(f"{title}", flush=True)
        started = time.monotonic()
        memory = _run(step)
        seconds = time.monotonic() - started
        done[step.name] = {"key": key, "seconds": seconds, "peak_memory_bytes": memory}
        _write(done, record)
        print(f"{title}: {seconds:.0f} s", flush=True)
    return done


def _key(step: Step, before: str) -> str:
    digest = hashlib.sha256(before.encode())
    digest.update(json.dumps(step.command).encode())
    for path in step.depends:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(done: dict[str, dict[str, Any]], record: pathlib.Path) -> None:
    files.write_text(json.dumps(done, indent=1) + "\n", record)


def _run(step: Step) -> int:
    """Run a program to its end, and return its peak memory, including its children's."""
    process = subprocess.Popen(
        [sys.executable, *step.command],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    peak = _PeakMemory(process.pid)
    stopped = False

    def forward(number: int, frame: Any) -> None:
        nonlocal stopped
        del frame
        stopped = True
        # Ctrl-C in a terminal also reaches the program; SIGTERM reaches only this process.
        if number == signal.SIGTERM:
            process.terminate()

    previous = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        peak.stop()
    if stopped or status in (PREEMPTED, 130, -signal.SIGTERM, -signal.SIGINT):
        raise Stopped(step.name)
    if status:
        raise StepError(
            f"the step {step.name!r} failed with status {status}; see its own message above."
        )
    return peak.bytes


def _die_with_parent() -> None:
    """Make a program end when the quickstart that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _PeakMemory:
    """The peak resident memory of a process and its children, sampled from /proc."""

    def __init__(self, pid: int):
        self.bytes = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self.bytes = max(self.bytes, _resident_bytes(self._pid))

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def _resident_bytes(pid: int) -> int:
    """Return the resident memory; 0 if there is no /proc."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident_bytes(int(c)) for c in children)
