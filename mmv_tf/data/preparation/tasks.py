# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is run in a child process: a task of several parts, and how a part can fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

# Of a source. The first four still give clips.
OK, NO_AUDIO, SILENT, NO_CAPTIONS = "ok", "no audio", "silent", "no captions"
CORRUPT, TIMEOUT, TOO_SHORT, TOO_LONG = "corrupt", "timeout", "too short", "too long"
MISSING = "missing"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a part of a task gave nothing: a source's status and a line for the user."""

    status: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Task:
    """Work on one file.

    Attributes:
      function: of a module, so that a child can import it; called with `arguments` and the list of
        the parts' values, it yields a result for each, in order. A result is plain JSON.
      name: what messages call it: the file.
      arguments: what all parts share.
      parts: (key, value) of each; the key says whose result it is and stays with the parent.
      part_names: what messages call each part, where it is of a file of its own.
    """

    function: Callable[..., Iterator[Any]]
    name: str
    arguments: tuple[Any, ...]
    parts: tuple[tuple[Any, Any], ...]
    part_names: tuple[str, ...] = ()

    def from_part(self, index: int) -> Task:
        """What is left of the task from a part on."""
        names = self.part_names[index:]
        return dataclasses.replace(self, parts=self.parts[index:], part_names=names)

    def name_of(self, index: int) -> str:
        """What messages call a part."""
        return self.part_names[index] if self.part_names else self.name


class Runner(Protocol):
    """Runs tasks somewhere."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """Yields (key, result or `Failure`) of every part, in any order.

        A part that fails, hangs or brings its process down costs that part only.

        Raises:
          OSError: the disk can't be written.
        """
        ...


def fail_rest(parts: Sequence[tuple[Any, Any]], failure: Failure) -> Iterator[tuple[Any, Failure]]:
    """The same failure for each of several parts."""
    for key, _ in parts:
        yield key, failure
