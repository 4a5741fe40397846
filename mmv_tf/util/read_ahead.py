# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads items on threads, a few ahead of their use."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


def read_ahead(
    read: Callable[[_Item], _Read], items: Sequence[_Item], threads: int
) -> Iterator[_Read]:
    """Yield `read(item)` for each item, in order.

    Args:
      read: called on one of the threads; its errors are raised here.
      items: the items.
      threads: number of threads; at any time, one more item than that is being read or waiting.
    """
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        ahead: collections.deque[concurrent.futures.Future[_Read]] = collections.deque()
        for place in range(len(items)):
            while place + len(ahead) < len(items) and len(ahead) <= threads:
                ahead.append(pool.submit(read, items[place + len(ahead)]))
            yield ahead.popleft().result()
