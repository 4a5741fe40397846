# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Placeholders: files with the size and time of an object, but none of its bytes.

Their mode is only the sticky bit, which no other file has, so that opening one without fetching it
is refused (root reads zeros).
"""

from __future__ import annotations

import os
import pathlib
import stat

from mmv_tf.util.files import replacing
from mmv_tf.util.storage.clients import Entry

_CLOSE = 1e-3  # seconds; file systems round times


def is_placeholder(path: pathlib.Path) -> bool:
    """Return whether a path is a placeholder."""
    try:
        return os.stat(path).st_mode & stat.S_ISVTX != 0 and path.is_file()
    except FileNotFoundError:
        return False


def is_like(path: pathlib.Path, entry: Entry) -> bool:
    """Return whether a file has the size and time of an object."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return status.st_size == entry.size and abs(status.st_mtime - (entry.modified or 0)) < _CLOSE


def put_placeholder(path: pathlib.Path, size: int, modified: float) -> None:
    """Replace a file with a placeholder, which takes no space.

    Raises:
      OSError: it can't be written.
    """
    with replacing(path, sync=False) as temporary:
        with open(temporary, "wb") as file:
            file.truncate(size)
        os.chmod(temporary, stat.S_ISVTX)
        os.utime(temporary, (modified, modified))
