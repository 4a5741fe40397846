# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

from mmv_tf.util import sqlite


@pytest.mark.slow
def test_after_tensorflow_python_has_its_own_sqlite():
    alone = "import sqlite3; print(sqlite3.sqlite_version)"
    after = "import tensorflow; from mmv_tf.util import sqlite; sqlite.check_fts5(); "
    after += "print(sqlite.sqlite3.sqlite_version)"
    versions = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        for code in (alone, after)
    ]
    assert versions[0].stdout == versions[1].stdout


def test_a_sqlite_without_fts5_is_told(monkeypatch):
    class Without:
        def execute(self, sql):
            raise sqlite.sqlite3.OperationalError("no such module: fts5")

        def close(self):
            pass

    monkeypatch.setattr(sqlite.sqlite3, "connect", lambda path: Without())
    assert not sqlite.has_fts5()
    with pytest.raises(ValueError, match=r"SQLite \(3\..* lacks FTS5"):
        sqlite.check_fts5()


def test_a_python_without_sqlite_is_told(monkeypatch):
    monkeypatch.setattr(sqlite, "sqlite3", None)
    assert not sqlite.has_fts5()
    with pytest.raises(ValueError, match="built without SQLite"):
        sqlite.check_fts5()
