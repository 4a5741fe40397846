# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoding for the page in child processes, which are killed when they take too long."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmv_tf.data.media import MediaError
from mmv_tf.util.worker_pool import Failure, Task, WorkerPool

# Ours: files decoded at once. A page requests a dozen thumbnails, of a twentieth of a second each,
# and one hostile upload leaves the other child free.
_PROCESSES = 2


class Decoder:
    """Calls decoding functions in child processes; thread-safe.

    Args:
      deadline_seconds: most seconds for one call, and for waiting for a free child.
      processes: number of children.
    """

    def __init__(self, deadline_seconds: float, processes: int = _PROCESSES):
        self._deadline_seconds = deadline_seconds
        self._all = [WorkerPool(1, deadline_seconds) for _ in range(processes)]
        self._free: queue.SimpleQueue[WorkerPool] = queue.SimpleQueue()
        for pool in self._all:
            self._free.put(pool)

    def call(self, function: Callable[..., Any], name: str, *arguments: Any) -> Any:
        """Call a function of a module, which the child imports.

        Args:
          function: decoding function.
          name: name of the file in messages.
          *arguments: arguments of the function.

        Raises:
          MediaError: the file can't be decoded, or not in time.
          OSError: no child is free or starts.
        """
        try:
            pool = self._free.get(timeout=self._deadline_seconds)
        except queue.Empty:
            raise OSError(f"{name}: busy with other files; try again later.") from None
        try:
            ((_, result),) = pool.run([Task(_call, name, (function,), ((None, arguments),))])
        except EOFError:  # the process that starts children got the signal that ends the program
            raise OSError(f"{name}: no child can be started any more.") from None
        finally:
            self._free.put(pool)
        if isinstance(result, Failure):
            raise MediaError(result.reason)
        return result

    def start(self) -> None:
        """Start the children, which takes seconds, before the first call."""
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
