# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the mirror knows of a local file: which object it is a copy of; also its lock."""

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
from mmv_tf.util.storage.store import Entry
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
    """The state of one mirrored file. It is read and written within `shared` or `exclusive`.

    It is one small file, locked while in use. A process that is killed while it writes leaves
    something that can't be read, which counts as nothing: the object is fetched again.
    """

    def __init__(self, target: pathlib.Path, kind: str):
        name = hashlib.sha256(os.fsencode(target)).hexdigest()
        self._target = target
        self.path = cache_folder() / STATE / kind / name[:2] / name[2:]
        self._file: IO[bytes] | None = None

    @classmethod
    def of(cls, target: pathlib.Path, kind: str = "files") -> State:
        """Return the state of a path in the mirror; `kind` is the folder that holds it."""
        return cls(target, kind)

    @contextlib.contextmanager
    def shared(self) -> Iterator[State]:
        """Let no process replace the file during the block; others may read it."""
        with self._locked(fcntl.LOCK_SH):
            yield self

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[State]:
        """Let no other process use the file during the block."""
        with self._locked(fcntl.LOCK_EX):
            yield self

    def entry(self) -> Entry | None:
        """Return the object that the file is a copy of; None if it is of none."""
        known = self._read()
        return None if known is None else Entry(**known["object"])

    def fits(self, now: Entry) -> bool:
        """Return whether the local file is a copy of the object as it is now."""
        known = self.entry()
        return (
            known is not None
            and (known.size, known.tag) == (now.size, now.tag)
            and (bool(now.tag) or known.modified == now.modified)
            and self.as_fetched()
        )

    def as_fetched(self) -> bool:
        """Return whether the local file is as it was when it was fetched or uploaded."""
        known = self._read()
        return known is not None and known["file"] == _stamp(self._target)

    def record(self, entry: Entry) -> Entry:
        """Note that the local file is a copy of an object, and return its entry."""
        known = {"object": vars(entry), "file": _stamp(self._target)}
        self._write(json.dumps(known).encode())
        return entry

    def forget(self) -> None:
        """Note that the local file is not known to be a copy."""
        self._write(b"")

    def remove(self) -> None:
        """Remove the state."""
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        with lock_file(self.path, kind) as file:
            self._file = file
            try:
                yield
            finally:
                self._file = None

    def _read(self) -> Any:
        assert self._file is not None
        self._file.seek(0)
        try:
            known = parse_json(self._file.read())
            check_form(known, _FORM)
        except ValueError:
            return None
        return known

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(data)
        self._file.flush()


@contextlib.contextmanager
def lock_file(path: pathlib.Path, kind: int) -> Iterator[IO[bytes]]:
    """Yield an open file, locked; it and its folder are created if missing.

    Args:
      path: the file.
      kind: a lock of `fcntl`; with LOCK_NB, BlockingIOError if another holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            fcntl.flock(file, kind)
            # Between these two steps another process may have removed the file.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    yield file
                    return


def _stamp(path: pathlib.Path) -> list[int] | None:
    """Return what changes when a file is written: its size, time and number."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ino]
