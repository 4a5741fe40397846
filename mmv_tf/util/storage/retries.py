# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Repeats operations on stores that fail for a while, and counts what was repeated."""

from __future__ import annotations

import collections
import math
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from mmv_tf.util.storage.errors import Failure, StorageError, diagnose

_Result = TypeVar("_Result")

LIMIT_VARIABLE = "MMV_TF_STORAGE_RETRY_SECONDS"

# Ours: with the delays below, eight retries last up to a minute, as most disturbances do.
MAX_RETRIES = 8
MAX_SECONDS = 180.0
_FIRST_DELAY = 0.25
_MAX_DELAY = 30.0


class Tally:
    """Counts retried operations, for one line at a program's end. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.operations = 0
        self.reasons: collections.Counter[str] = collections.Counter()

    def add(self, reasons: list[str]) -> None:
        """Count one operation with what it was retried for, once for each time."""
        if reasons:
            with self._lock:
                self.operations += 1
                self.reasons.update(reasons)

    def line(self) -> str:
        """Return a line such as "storage: 2 operations were retried (3 server errors)."."""
        if not self.operations:
            return ""
        listed = ", ".join(
            f"{count} {reason if count == 1 else _plural(reason)}"
            for reason, count in sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        )
        were = "operation was" if self.operations == 1 else "operations were"
        return f"storage: {self.operations} {were} retried ({listed})."


tally = Tally()


def retried(operation: Callable[[], _Result], doing: str, where: str) -> _Result:
    """Call `operation`, again while it fails for a reason that may pass.

    Args:
      operation: may be repeated.
      doing, where: what is done and the object's URL, for the message.

    Raises:
      StorageError: it failed for good, too often or for too long.
    """
    started = time.monotonic()
    reasons: list[str] = []
    try:
        while True:
            try:
                return operation()
            except Exception as error:
                failure = diagnose(error)
                if failure is None:
                    raise
                passed = time.monotonic() - started
                delay = _delay(len(reasons), failure)
                if (
                    not failure.passing
                    or len(reasons) >= MAX_RETRIES
                    or passed + delay > _max_seconds()
                ):
                    raise failure.error(doing, where, len(reasons)) from _cause(error)
            reasons.append(failure.reason)
            time.sleep(delay)
    finally:
        tally.add(reasons)


def _delay(retries: int, failure: Failure) -> float:
    """Return the seconds to wait: doubled each time, at random, or as the store asks."""
    longest = min(_MAX_DELAY, _FIRST_DELAY * 2**retries)
    delay = longest * random.uniform(0.5, 1.0)  # noqa: S311
    return max(delay, failure.retry_after)


def _max_seconds() -> float:
    given = os.environ.get(LIMIT_VARIABLE)
    try:
        seconds = MAX_SECONDS if given is None else float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{LIMIT_VARIABLE}={given}; expected a number of seconds, 0 or more.")
    return seconds


def _cause(error: BaseException) -> BaseException | None:
    """Return an error to chain: none whose text a client wrote, which may hold secrets."""
    return error if isinstance(error, StorageError) else None


def _plural(reason: str) -> str:
    return f"{reason[:-1]}ies" if reason.endswith("y") else f"{reason}s"
