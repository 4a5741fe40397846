# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: the second is refused, and a killed one's lock is gone with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

_FILE = "lock"


@contextlib.contextmanager
def writing(directory: pathlib.Path) -> Iterator[None]:
    """Holds the index's lock.

    Raises:
      ValueError: another program holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / _FILE, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(32).strip()
            raise ValueError(
                f"{directory}: another program (process {holder or 'unknown'}) is writing this "
                "index; wait until it is done."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
