# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Budget for the bytes that requests hold, so that together they can't exhaust the memory."""

from __future__ import annotations

from mmv_tf.serving.errors import UNAVAILABLE, RequestError


class MemoryBudget:
    """A memory budget that all requests of one event loop share; not thread-safe.

    Args:
      total: number of bytes.
    """

    def __init__(self, total: int):
        self.total = total
        self.used = 0

    def reserve(self) -> Reservation:
        """Return a new, empty share; use it as a context manager."""
        return Reservation(self)


class Reservation:
    """One request's share in a `MemoryBudget`; freed when its block ends."""

    def __init__(self, budget: MemoryBudget):
        self._budget = budget
        self.size = 0

    def set(self, size: int) -> None:
        """Change the share.

        Raises:
          RequestError: 503, immediately, if the other requests leave too little memory.
        """
        if size > self.size and self._budget.used + size - self.size > self._budget.total:
            raise RequestError(
                UNAVAILABLE, "Active requests use up the server's memory; try again later."
            )
        self._budget.used += size - self.size
        self.size = size

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *unused: object) -> None:
        self.set(0)
