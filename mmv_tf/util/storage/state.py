# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A mirrored file's state: the object that it is a copy of; also its lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import IO, Any

from mmv_tf.util.safe_files import Count, check_form, parse_json
from mmv_tf.util.storage.clients import Entry
from mmv_tf.util.storage.urls import STATE, cache_folder

_FORM = {
    "object": {
        "size": Count,
        "tag": str,
        "modified": (int, float, None),
        "crc32c": (Count, None),
    },
    "file": [Count],
}


class State:
    """The state of one mirrored file, open in the block of `shared` or `exclusive`.

    It is one small file, locked while in use. A process that is killed while writing leaves an
    unreadable file, which counts as empty: the object is fetched again.
    """

    def __init__(self, target: pathlib.Path, file: IO[bytes]):
        self._target = target
        self._file = file

    @classmethod
    @contextlib.contextmanager
    def shared(cls, target: pathlib.Path) -> Iterator[State]:
        """Let no process replace a mirrored file during the block; others may read it."""
        with lock_file(state_file(target), fcntl.LOCK_SH) as file:
            yield cls(target, file)

    @classmethod
    @contextlib.contextmanager
    def exclusive(cls, target: pathlib.Path) -> Iterator[State]:
        """Let no other process use a mirrored file during the block."""
        with lock_file(state_file(target), fcntl.LOCK_EX) as file:
            yield cls(target, file)

    def entry(self) -> Entry | None:
        """Return the object that the file is a copy of, or None."""
        known = self._read()
        return None if known is None else Entry(**known["object"])

    def fits(self, now: Entry) -> bool:
        """Return whether the local file is a copy of the object's current version."""
        known = self.entry()
        return (
            known is not None
            and (known.size, known.tag) == (now.size, now.tag)
            and (bool(now.tag) or known.modified == now.modified)
            and self.as_fetched()
        )

    def as_fetched(self) -> bool:
        """Return whether the local file is unchanged since it was fetched or uploaded."""
        known = self._read()
        return known is not None and known["file"] == _stamp(self._target)

    def record(self, entry: Entry) -> Entry:
        """Record that the local file is a copy of an object, and return its entry."""
        known = {"object": vars(entry), "file": _stamp(self._target)}
        self._write(json.dumps(known).encode())
        return entry

    def forget(self) -> None:
        """Record that the local file is not known to be a copy."""
        self._write(b"")

    def _read(self) -> Any:
        self._file.seek(0)
        try:
            known = parse_json(self._file.read())
            check_form(known, _FORM)
        except ValueError:
            return None
        return known

    def _write(self, data: bytes) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(data)
        self._file.flush()


def state_file(target: pathlib.Path, kind: str = "files") -> pathlib.Path:
    """Return the path to a mirrored file's state; `kind` is the folder that holds it."""
    name = hashlib.sha256(os.fsencode(target)).hexdigest()
    return cache_folder() / STATE / kind / name[:2] / name[2:]


@contextlib.contextmanager
def lock_file(path: pathlib.Path, kind: int) -> Iterator[IO[bytes]]:
    """Yield an open, locked file; the file and its folder are created if missing.

    Args:
      path: the file.
      kind: a lock of `fcntl`; with LOCK_NB, BlockingIOError if another process holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            fcntl.flock(file, kind)
            if _is_at(path, file):
                yield file
                return


def _is_at(path: pathlib.Path, file: IO[bytes]) -> bool:
    """Return whether no other process removed the file between opening and locking it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _stamp(path: pathlib.Path) -> list[int] | None:
    """Return values that change when a file is written: its size, time and number."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]
