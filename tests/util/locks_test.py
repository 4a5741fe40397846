# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import errno
import fcntl
import subprocess
import sys

import pytest

from mmv_tf.util import locks


def test_the_second_is_refused_and_told_of_the_first(tmp_path):
    path = tmp_path / "new" / "lock"
    busy = r"^here: another program \(process \d+ on .+\) is busy; wait until it is done\.$"
    with (
        locks.held(path, "here", "busy"),
        pytest.raises(ValueError, match=busy),
        locks.held(path, "here", "busy"),
    ):
        pass
    with locks.held(path, "here", "busy"):
        pass


def test_a_lock_ends_with_its_killed_program(tmp_path):
    # Without the package's __init__, which loads TensorFlow.
    code = (
        "import os, pathlib, sys, types; m = types.ModuleType('mmv_tf'); m.__path__ = ['mmv_tf']\n"
        "sys.modules['mmv_tf'] = m; from mmv_tf.util import locks\n"
        "with locks.held(pathlib.Path(sys.argv[1]), 'here', 'busy'): os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "lock"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert path.exists()
    with locks.held(path, "here", "busy"):
        pass


def test_a_lock_file_that_its_holder_removed_locks_nobody_out_or_in(tmp_path, monkeypatch):
    path, original = tmp_path / "lock", fcntl.flock

    def removed_meanwhile(file, operation):
        monkeypatch.setattr(fcntl, "flock", original)
        path.unlink()
        original(file, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with (
        locks.held(path, "here", "busy"),
        pytest.raises(ValueError, match="is busy"),
        locks.held(path, "here", "busy"),
    ):
        pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    def unsupported(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locks.held(tmp_path / "lock", "here", "busy"):
        pass
    assert "here: this file system has no locks" in caplog.text
