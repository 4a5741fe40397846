# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The folder of unfinished work, in which workers leave results that are whole or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from mmv_tf.util import files


@dataclasses.dataclass(frozen=True)
class Opened:
    """A file that is open for reading."""

    name: str
    file: BinaryIO

    def size(self) -> int:
        """Return its bytes."""
        return self.file.seek(0, os.SEEK_END)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, fewer at the end of the file."""
        self.file.seek(start)
        return self.file.read(end - start)


@dataclasses.dataclass(frozen=True)
class WorkFolder:
    """A folder of work; names in it are relative, with slashes.

    Attributes:
      place: path of the folder.
    """

    place: str

    @property
    def path(self) -> pathlib.Path:
        """The folder on this machine."""
        return pathlib.Path(self.place)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[pathlib.Path]:
        """Yield a path to write to, which becomes the file after the block."""
        with files.replacing(self.path / name, sync=False) as temporary:
            yield temporary

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """Open a file for reading.

        Raises:
          OSError: it can't be read.
        """
        path = self.path / name
        with open(path, "rb") as file:
            yield Opened(str(path), file)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def fetched(self, name: str) -> pathlib.Path:
        """Return the path of a file on this machine."""
        return self.path / name

    def names(self, folder: str) -> set[str]:
        """Return the names of all files in and below a folder."""
        return {
            path.relative_to(self.path).as_posix()
            for path in (self.path / folder).rglob("*")
            if path.is_file()
        }
