# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Threads for blocking work, separate by kind, so that a flood of one kind can't block others."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from mmv_tf.search.api.errors import UNAVAILABLE, ApiError

_T = TypeVar("_T")


class Lane:
    """Threads for one kind of work, for one event loop.

    Args:
      name: the kind's name in messages, such as "searches".
      threads: number of concurrent calls.
      most_waiting: number of calls that may wait; others are refused.
    """

    def __init__(self, name: str, threads: int, most_waiting: int):
        self._name = name
        self._most = threads + most_waiting
        self._count = 0
        self._threads = concurrent.futures.ThreadPoolExecutor(threads, f"search-{name}")

    async def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function in a thread.

        Raises:
          ApiError: too many calls are waiting.
        """
        if self._count >= self._most:
            raise ApiError(UNAVAILABLE, f"Too many {self._name} at once; try again later.")
        self._count += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, functools.partial(function, *arguments))
        # Counted until it ends, even if its client has disconnected.
        future.add_done_callback(self._ended)
        return await asyncio.shield(future)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._count -= 1
        if not future.cancelled():
            future.exception()  # retrieved in case the client has disconnected

    def close(self) -> None:
        """Wait for running calls, and drop waiting ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)
