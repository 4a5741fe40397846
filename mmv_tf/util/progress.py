# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: a bar on a terminal, occasional plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, TextIO, TypeVar

import tqdm

_T = TypeVar("_T")
_LINE_SECONDS = 10.0


class Progress:
    """A counter of work done, with its rate and the remaining time; use it as a context manager.

    On a terminal, it draws a tqdm bar. Elsewhere (a log, a pipe), it prints a line at most every
    ten seconds and one at the end, such as

        train: 120/600 steps (20%), 2.1 steps/s, 3:48 left, loss=4.21

    Args:
      total: number of units, or None if unknown.
      description: name of the work, in a word or two.
      unit: name of the units, in the plural.
      initial: units done in an earlier run that this run resumes. They count as done but not
        towards the rate.
      file: file to write to; by default, the current standard error.
      line_seconds: minimum time between two plain lines.
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        unit: str = "items",
        initial: int = 0,
        file: TextIO | None = None,
        line_seconds: float = _LINE_SECONDS,
    ):
        self.total = total
        self.done = initial
        self._initial = initial
        self._description = description
        self._unit = unit
        self._file = sys.stderr if file is None else file
        self._line_seconds = line_seconds
        self._scalars: dict[str, Any] = {}
        self._started = self._printed = time.monotonic()
        self._closed = False
        self._bar: tqdm.tqdm[Any] | None = None
        if self._file.isatty():
            self._bar = tqdm.tqdm(
                total=total,
                desc=description,
                unit=f" {unit}",
                initial=initial,
                file=self._file,
                dynamic_ncols=True,
            )

    def update(self, n: int = 1, **scalars: Any) -> None:
        """Add `n` finished units; `scalars` (losses, counts) are shown after the counts."""
        self.done += n
        self._scalars.update(scalars)
        if self._bar is not None:
            if scalars:
                shown = {name: _format_scalar(value) for name, value in self._scalars.items()}
                self._bar.set_postfix(shown, refresh=False)
            self._bar.update(n)
        elif time.monotonic() - self._printed >= self._line_seconds:
            self._print_line()

    def write(self, message: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(message, file=self._file)
        else:
            print(message, file=self._file, flush=True)

    def close(self) -> None:
        """Draw the last state. Further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.close()
        else:
            self._print_line(final=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _print_line(self, final: bool = False) -> None:
        now = time.monotonic()
        self._printed = now
        elapsed = now - self._started
        rate = (self.done - self._initial) / elapsed if elapsed > 0 else 0.0
        if self.total is None:
            parts = [f"{self.done} {self._unit}"]
        else:
            share = 100 * self.done // self.total if self.total else 100
            parts = [f"{self.done}/{self.total} {self._unit} ({share}%)"]
        parts.append(f"{rate:.3g} {self._unit}/s")
        if final:
            parts.append(f"{_format_time(elapsed)} taken")
        elif self.total is not None and rate > 0:
            parts.append(f"{_format_time((self.total - self.done) / rate)} left")
        parts += [f"{name}={_format_scalar(value)}" for name, value in self._scalars.items()]
        print(f"{self._description}: {', '.join(parts)}", file=self._file, flush=True)


def progress(
    work: Iterable[_T], description: str, unit: str = "items", total: int | None = None
) -> Iterator[_T]:
    """Yield the items of `work` while showing the progress.

    Args:
      work: the items.
      description, unit: see `Progress`.
      total: number of items; by default, `len(work)` if it has one.
    """
    if total is None and isinstance(work, Sized):
        total = len(work)
    with Progress(total, description, unit) as shown:
        for item in work:
            yield item
            shown.update()


def _format_scalar(value: Any) -> str:
    """Format numbers to four digits; leave everything else unchanged."""
    try:
        return str(value) if isinstance(value, int | str) else f"{float(value):.4g}"
    except (TypeError, ValueError):
        return str(value)


def _format_time(seconds: float) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
