# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Retries operations on stores that fail temporarily, and counts the retries."""

from __future__ import annotations

import collections
import contextlib
import math
import os
import pathlib
import random
import time
from collections.abc import Callable
from typing import TypeVar

from mmv_tf.util.storage.errors import Failure, StorageError, diagnose
from mmv_tf.util.storage.urls import TALLY_VARIABLE

_Result = TypeVar("_Result")

LIMIT_VARIABLE = "MMV_TF_STORAGE_RETRY_SECONDS"

# Ours: with the delays below, eight retries last up to a minute, as most disturbances do.
MAX_RETRIES = 8
MAX_SECONDS = 180.0
_FIRST_DELAY = 0.25
_MAX_DELAY = 30.0


def read_tally(path: pathlib.Path) -> str:
    """Return a line such as "storage: 2 operations were retried (3 server errors)."."""
    operations = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    counts = collections.Counter(reason for reasons in operations for reason in reasons)
    listed = ", ".join(
        f"{count} {reason}{'' if count == 1 else 's'}"
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    number = len(operations)
    were = "1 operation was" if number == 1 else f"{number} operations were"
    return f"storage: {were} retried ({listed})."


def count(reasons: list[str]) -> None:
    """Record a retried operation in the program's tally, with the reason for each retry."""
    path = os.environ.get(TALLY_VARIABLE)
    if path and reasons:
        with contextlib.suppress(OSError):  # The operation matters more.
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
            # One small append, which other processes' writes do not mix with.
            with open(path, "ab", buffering=0) as file:
                file.write(f"{','.join(reasons)}\n".encode())


def retried(operation: Callable[[], _Result], doing: str, where: str) -> _Result:
    """Call `operation`, retrying while it fails for a reason that may pass.

    Args:
      operation: may be repeated.
      doing, where: what is done and the object's URL, for the message.

    Raises:
      StorageError: it failed permanently, too often or for too long.
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
        count(reasons)


def _delay(retries: int, failure: Failure) -> float:
    """Return the seconds to wait: doubled each time, with jitter, or as the store requests."""
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
    """Return an error to chain; none whose text a client wrote, which may contain secrets."""
    return error if isinstance(error, StorageError) else None
