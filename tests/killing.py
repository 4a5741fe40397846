# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Kills a function at each of its steps on the disk, one run after the other."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator

# Python's audit events before a change on the disk.
_STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")


def killed_at_each_step(
    run: Callable[[], object], prepare: Callable[[], pathlib.Path], every: int = 1
) -> Iterator[pathlib.Path]:
    """Run a function in a child that kills itself before its 1st, 2nd, ... step below a folder.

    Args:
      run: function to run, without threads of its own.
      prepare: function that makes the folder as it was before, and returns it.
      every: steps from one kill to the next.

    Yields:
      The folder after each kill, and at last after the whole run.
    """
    for number in itertools.count(step=every):
        folder = prepare()
        child = os.fork()
        if child == 0:
            try:
                _kill_at(number, str(folder))
                run()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, f"step {number}: the child ended with {status}"
        yield folder
        if not killed:
            assert number > every, "there are more steps than that"
            return


def _kill_at(number: int, folder: str) -> None:
    seen = itertools.count()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _STEPS or not arguments or not isinstance(arguments[0], str | os.PathLike):
            return
        if os.fspath(arguments[0]).startswith(folder) and next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
