# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Python's SQLite, even after TensorFlow was imported.

TensorFlow contains its own SQLite, without the full-text index FTS5, and on Linux exports its
symbols to all libraries that are loaded later. Python's module, loaded after it, would call that
SQLite; here it is bound to the library that it was built with. Import `sqlite3` from here.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def _python_sqlite() -> Any:
    """Return the module sqlite3, bound to its own library; None if Python was built without it."""
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        import sqlite3
    except ImportError:
        return None
    finally:
        sys.setdlopenflags(flags)
    return sqlite3


sqlite3: Any = _python_sqlite()


def has_fts5() -> bool:
    """Return whether there is a SQLite with the full-text index FTS5."""
    if sqlite3 is None:
        return False
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("create virtual table t using fts5(words)")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def check_fts5() -> None:
    """Check, before work that needs it, that SQLite has FTS5.

    Raises:
      ValueError: SQLite lacks FTS5, or there is no SQLite.
    """
    if sqlite3 is None:
        raise ValueError(
            "Python was built without SQLite, which the speech search needs; use another Python."
        )
    if not has_fts5():
        raise ValueError(
            f"Python's SQLite ({sqlite3.sqlite_version}) lacks FTS5, which the speech search "
            "needs; use a Python whose SQLite has it, and import sqlite3 before TensorFlow."
        )
