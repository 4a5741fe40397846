# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes for the page in child processes, which are killed when they take too long."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmv_tf.data.media import MediaError
from mmv_tf.util.worker_pool import Failure, Task, WorkerPool

# Files decoded at once; the next ones wait. Ours: a page asks for a dozen thumbnails, of a
# twentieth of a second each, and one hostile upload leaves the other child free.
_PROCESSES = 2


class Decoder:
    """Calls functions that decode, each in a child process. For any thread.

    Args:
      deadline_seconds: for one call, and for waiting until a child is free.
    """

    def __init__(self, deadline_seconds: float):
        self._deadline_seconds = deadline_seconds
        self._all = [WorkerPool(1, deadline_seconds) for _ in range(_PROCESSES)]
        self._free: queue.SimpleQueue[WorkerPool] = queue.SimpleQueue()
        for pool in self._all:
            self._free.put(pool)

    def call(self, function: Callable[..., Any], name: str, *arguments: Any) -> Any:
        """Calls a function of a module, which the child imports.

        Args:
          function: what decodes.
          name: of the file, for messages.
          *arguments: for the function.

        Raises:
          MediaError: it can't be decoded, or not in time.
          OSError: no child is free, or comes up.
        """
        try:
            pool = self._free.get(timeout=self._deadline_seconds)
        except queue.Empty:
            raise OSError(f"{name}: other files are being decoded; try again later.") from None
        try:
            ((_, result),) = pool.run([Task(_call, name, (function,), ((None, arguments),))])
        finally:
            self._free.put(pool)
        if isinstance(result, Failure):
            raise MediaError(result.reason)
        return result

    def start(self) -> None:
        """Has the children come up, which takes seconds, before somebody waits for them."""
        with contextlib.suppress(OSError):
            for _ in self._all:
                self.call(len, "", "")

    def close(self) -> None:
        """Ends the children."""
        for pool in self._all:
            pool.close()


def _call(function: Callable[..., Any], parts: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    for arguments in parts:
        yield function(*arguments)
