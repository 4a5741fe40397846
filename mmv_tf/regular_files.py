# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads files that are files: a pipe or a device under a file's name would block or never end."""

from __future__ import annotations

import errno
import os
import pathlib
import stat

_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFIFO: "Is a pipe",
    stat.S_IFCHR: "Is a device",
    stat.S_IFBLK: "Is a device",
    stat.S_IFSOCK: "Is a socket",
}


def check_regular(path: str | os.PathLike[str]) -> int:
    """Returns a file's size in bytes.

    Raises:
      OSError: it is not there, links to itself, or is a folder, a pipe, a device or a socket.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "Is no file")
        raise OSError(number, f"{kind}; expected a file", os.fspath(path))
    return status.st_size


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Returns what is in a file.

    Raises:
      ValueError: it has more than `max_bytes`.
      OSError: it can't be read, or is no regular file.
    """
    size = check_regular(path)
    if size > max_bytes:
        raise ValueError(
            f"{os.fspath(path)}: the file has {size} bytes; at most {max_bytes} are read; check "
            "that it is what you meant."
        )
    return pathlib.Path(path).read_bytes()
