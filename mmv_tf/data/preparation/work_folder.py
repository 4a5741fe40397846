# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A folder for results, local or in a store, whose files are either complete or absent.

Workers get a copy of the object. With a store, machines need no common path: a worker writes a file
on its own disk, uploads it and removes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

from mmv_tf.util import files
from mmv_tf.util.storage.mirror import fetch
from mmv_tf.util.storage.store import Entry, Store, open_store
from mmv_tf.util.storage.urls import is_remote, mirror_path

# Ours: number of parallel reads from a store; each takes a round trip.
READERS = 8


class Opened(Protocol):
    """A file that is open for reading."""

    @property
    def name(self) -> str:
        """The path or URL, for messages."""
        ...

    def size(self) -> int:
        """Return the size in bytes."""
        ...

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or fewer at the end of the file."""
        ...


@dataclasses.dataclass(frozen=True)
class WorkFolder:
    """A folder of results; names in it are relative and use slashes.

    Attributes:
      place: path to the folder, or its URL in a store.
    """

    place: str

    @property
    def is_remote(self) -> bool:
        """True if the folder is in a store."""
        return is_remote(self.place)

    @property
    def path(self) -> pathlib.Path:
        """The folder on this machine; for a folder in a store, it holds files in transit."""
        return mirror_path(self.place) if self.is_remote else pathlib.Path(self.place)

    def within(self, name: str) -> WorkFolder:
        """Return a folder inside this one."""
        return WorkFolder(f"{self.place.rstrip('/')}/{name}")

    def check_writable(self) -> None:
        """Check, before long work, that a store is writable.

        Raises:
          StorageError: it is not.
        """
        if self.is_remote:
            self._store().check_writable()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[pathlib.Path]:
        """Yield a path to write to; it becomes the file after the block."""
        with files.replacing(self.path / name, sync=False) as temporary:
            yield temporary
        self.send(name)

    def send(self, name: str) -> str:
        """Upload a file written at its local path if the folder is in a store.

        Returns:
          The object's tag; "" for a local folder.
        """
        if not self.is_remote:
            return ""
        path = self.path / name
        entry = self._store().upload(path, name)
        path.unlink()
        return entry.tag

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """Open a file for reading.

        Raises:
          OSError: the file cannot be read.
        """
        if self.is_remote:
            yield _Object(f"{self.place}/{name}", self._store(), name)
            return
        path = self.path / name
        with open(path, "rb") as file:
            yield _File(str(path), file)

    def fetched(self, name: str) -> pathlib.Path:
        """Return the local path to a file, which is downloaded if necessary.

        Raises:
          FileNotFoundError: there is no such file.
        """
        return fetch(f"{self.place}/{name}") if self.is_remote else self.path / name

    def names(self, folder: str = "") -> set[str]:
        """Return the names of all files in a folder and its subfolders."""
        if self.is_remote:
            start = f"{folder}/" if folder else ""
            return {f"{start}{name}" for name in self.entries(folder)}
        return {
            path.relative_to(self.path).as_posix()
            for path in (self.path / folder).rglob("*")
            if path.is_file()
        }

    def entries(self, folder: str = "") -> dict[str, Entry]:
        """Return the objects below a folder in a store, by name relative to the folder."""
        return open_store(self.within(folder).place if folder else self.place).list()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; missing files are not an error."""
        if self.is_remote:
            self._store().remove(names)
            return
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all files."""
        if self.is_remote:
            self.remove(self.names())
        shutil.rmtree(self.path, ignore_errors=True)

    def _store(self) -> Store:
        return open_store(self.place)


@dataclasses.dataclass(frozen=True)
class _File:
    """A local file that is open."""

    name: str
    file: BinaryIO

    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def read(self, start: int, end: int) -> bytes:
        self.file.seek(start)
        return self.file.read(end - start)


@dataclasses.dataclass(frozen=True)
class _Object:
    """An object in a store."""

    name: str
    store: Store
    key: str

    def size(self) -> int:
        entry = self.store.stat(self.key)
        return 0 if entry is None else entry.size

    def read(self, start: int, end: int) -> bytes:
        return self.store.read(self.key, start, end)
