# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes for the page in child processes, which are killed if they take too long."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmv_tf.data.media import MediaError
from mmv_tf.util.worker_pool import Failure, Task, WorkerPool

# Ours: files decoded at once. A page requests a dozen thumbnails, each taking a twentieth of a
# second, and a hostile upload leaves the other child free.
_PROCESSES = 2


class Decoder:
    """Calls decoding functions in child processes; thread-safe.

    Args:
      deadline_seconds: maximum seconds for one call, and to wait for a free child.
      processes: number of children.
    """

    def __init__(self, deadline_seconds: float, processes: int = _PROCESSES):
        self._deadline_seconds = deadline_seconds
        self._all = [WorkerPool(1, deadline_seconds) for _ in range(processes)]
        self._free: queue.SimpleQueue[WorkerPool] = queue.SimpleQueue()
        for pool in self._all:
            self._free.put(pool)

    def call(self, function: Callable[..., Any], name: str, *arguments: Any) -> Any:
        """Call a function in a module that the child imports.

        Args:
          function: decoding function.
          name: the file's name in messages.
          *arguments: the function's arguments.

        Raises:
          MediaError: the file can't be decoded, or not within the time limit.
          OSError: no child is free or can be started.
        """
        try:
            pool = self._free.get(timeout=self._deadline_seconds)
        except queue.Empty:
            raise OSError(f"{name}: busy with other files; try again later.") from None
        try:
            ((_, result),) = pool.run([Task(_call, name, (function,), ((None, arguments),))])
        except EOFError:  # the process that starts children got the signal that ends the program
            raise OSError(f"{name}: no more child processes can be started.") from None
        finally:
            self._free.put(pool)
        if isinstance(result, Failure):
            raise MediaError(result.reason)
        return result

    def start(self) -> None:
        """Start the children before the first call, because this takes seconds."""
        with contextlib.suppress(OSError):
            for _ in self._all:
                self.call(len, "", "")

    def close(self) -> None:
        """End the children."""
        for pool in self._all:
            pool.close()


def _call(function: Callable[..., Any], parts: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    for arguments in parts:
        yield function(*arguments)
