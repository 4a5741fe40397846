# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Locks on folders: one program at a time writes, and a process's end frees its lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import pathlib
import platform
from collections.abc import Iterator
from typing import TextIO

logger = logging.getLogger(__name__)

# Errors of file systems without locks, as on some clusters.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_MAX_HOLDER = 128  # characters: a number and a machine's name


@contextlib.contextmanager
def held(path: pathlib.Path, where: object, doing: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock file during the block; the file stays, and its folder is created if missing.

    If the file system has no locks, a warning says so and nothing is locked.

    Args:
      path: the lock file.
      where: the locked folder or file, for the message.
      doing: the holder's work, for the message, such as "writing this index".
      shared: whether to allow other holders that also share the lock.

    Raises:
      ValueError: another program holds the lock.
    """
    with _locked(path, where, doing, shared) as file:
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


def _locked(path: pathlib.Path, where: object, doing: str, shared: bool) -> TextIO:
    """Return the file, open and locked."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = " ".join(file.read(_MAX_HOLDER).split())
            file.close()
            raise ValueError(
                f"{where}: another program (process {holder or 'unknown'}) is {doing}; wait until "
                "it is done."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            logger.warning(
                "%s: this file system has no locks; don't start a second program.", where
            )
            return file
        # Between these two steps the former holder may have removed the file.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()
