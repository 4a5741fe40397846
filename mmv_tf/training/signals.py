# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT handling."""

from __future__ import annotations

import signal
from typing import Any


class StopSignals:
    """Turns SIGTERM and Ctrl-C into a request, which training obeys after the current step.

    A second Ctrl-C interrupts immediately. Use it as a context manager.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._previous[number] = signal.signal(number, self._request)
            except ValueError:  # not in the main thread: the caller handles signals
                break
        return self

    def _request(self, number: int, frame: Any) -> None:
        del frame
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
