# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs programs as a user does; where many short runs are wanted, faster."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
_TIMEOUT = 600.0  # Stops a program that hangs; busy machines need minutes for some programs.
# What programs import, for processes that are forked.
PRELOAD = ["mmv_tf.util.quiet_start", *(f"mmv_tf.{name}" for name in ("search", "training"))]


def run(name: str, *arguments: Any, timeout: float = _TIMEOUT) -> subprocess.CompletedProcess[str]:
    """`mmv NAME ARGUMENTS` to its end; a name with a dot is another module's."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            *([name] if "." in name else ["mmv_tf", name]),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        check=False,
    )


def _module(name: str) -> str:
    return name if "." in name else f"mmv_tf.programs.{name}"


def run_forked(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The same, forked from a process that has TensorFlow loaded: a moment instead of seconds.

    For runs that end before they compute anything, such as those with a wrong flag.
    """
    command = [_module(name), *map(str, arguments)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        out, err = pathlib.Path(folder, "out"), pathlib.Path(folder, "err")
        process = context.Process(target=_run_here, args=(command, str(out), str(err)))
        process.start()
        process.join(_TIMEOUT)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{command} did not end in {_TIMEOUT:g} seconds.")
        return subprocess.CompletedProcess(
            command, process.exitcode, out.read_text(), err.read_text()
        )


def _run_here(command: list[str], out: str, err: str) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, descriptor)
    os.chdir(ROOT)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
