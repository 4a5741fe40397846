# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A program in a process of its own, which runs many command lines one by one.

Programs define flags of the same names, so one process can import one of them only; and importing
TensorFlow takes longer than most of what is tested.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import pathlib
import subprocess
import sys

# Clients of stores, which take seconds to import. TensorBoard itself imports fsspec and botocore
# where they are installed.
CLIENTS = {"s3fs", "gcsfs", "aiobotocore"}
ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Done:
    """How a run of the program ended."""

    status: int
    stdout: str
    stderr: str


class Program:
    """`mmv NAME`; call it with a command line's arguments."""

    def __init__(self, name: str, takes_arguments: bool = False):
        words = [f"mmv_tf.programs.{name}", *(["arguments"] if takes_arguments else [])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.programs.program", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def __call__(self, *arguments: object) -> Done:
        """Runs it as from the command line."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([str(one) for one in arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process ended with {self._process.poll()}"
        return Done(**json.loads(line))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def _serve(name: str, takes_arguments: bool) -> None:
    answers = sys.stdout
    from absl.testing import flagsaver

    from mmv_tf.util import command_line

    module = importlib.import_module(name)
    remote = False
    arrange = getattr(module, "arguments", list)
    for line in sys.stdin:
        argv = arrange([name, *json.loads(line)])
        stdout, stderr, status = io.StringIO(), io.StringIO(), None
        with (
            flagsaver.flagsaver(),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                command_line.run(module.main, argv, takes_arguments)
            except SystemExit as end:
                status = end.code
        remote |= any("://" in argument for argument in argv)
        assert remote or not CLIENTS & set(sys.modules), "local paths need no client of a store"
        done = Done(int(status or 0), stdout.getvalue(), stderr.getvalue())
        print(json.dumps(dataclasses.asdict(done)), file=answers, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], "arguments" in sys.argv[2:])
