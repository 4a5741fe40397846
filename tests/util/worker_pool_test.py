# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmv_tf.data import media
from mmv_tf.util import worker_pool
from mmv_tf.util.worker_pool import Task, WorkerPool


# A child's task; child processes import it from here.
def behave(prefix, kinds):
    for kind in kinds:
        if kind == "hang":
            time.sleep(600)
        if kind.startswith("program"):  # Starts one, as Ghostscript is started, and waits for it.
            program = subprocess.Popen(["sleep", "600"])
            pathlib.Path(prefix, kind).write_text(f"{os.getpid()} {program.pid}")
            if kind == "program and crash":
                os.abort()
            program.wait()
        if kind == "crash":
            os.abort()
        if kind.startswith("killed"):  # the first time, or always
            note = pathlib.Path(prefix, "killed")
            if kind == "killed always" or not note.exists():
                note.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if kind == "media":
            raise media.MediaError(f"{prefix}: bad")
        if kind == "environment":
            kind = os.environ.get("MMV_TF_TEST_SET_LATER", "not set")
        if kind == "bug":
            raise KeyError(prefix)
        if kind == "disk":
            raise OSError(28, "No space left on device")
        yield prefix + kind


def test_a_part_that_fails_costs_itself_alone():
    kinds = ["fine", "crash", "fine", "media", "hang", "bug", "fine"]
    parts = tuple((number, kind) for number, kind in enumerate(kinds))
    others = [Task(behave, "g", ("g-",), (((n, "g"), "fine"),)) for n in range(3)]
    with WorkerPool(1, 1.5) as pool:
        done = dict(pool.run([Task(behave, "f", ("f-",), parts), *others]))
    assert [done[number] for number in (0, 2, 6)] == ["f-fine"] * 3
    assert [done[n, "g"] for n in range(3)] == ["g-fine"] * 3
    failures = {number: (done[number].status, done[number].reason) for number in (1, 3, 4, 5)}
    assert failures[1] == ("corrupt", "f: the decoder crashed (signal SIGABRT)")
    assert failures[3] == ("corrupt", "f-: bad")
    assert failures[4][0] == "timeout"
    assert "f: the decoder did not finish a block in 1.5 s" in failures[4][1]
    assert "KeyError('f-')" in failures[5][1]


def test_children_have_the_environment_of_now(monkeypatch):
    task = Task(behave, "f", ("",), ((0, "environment"),))
    with WorkerPool(1, 10.0) as pool:
        assert dict(pool.run([task])) == {0: "not set"}
    monkeypatch.setenv("MMV_TF_TEST_SET_LATER", "set")
    with WorkerPool(1, 10.0) as pool:  # by the same server as the first
        assert dict(pool.run([task])) == {0: "set"}


def test_a_part_whose_process_was_killed_is_done_again(tmp_path):
    kinds = ["fine", "killed", "fine", "killed always", "fine"]
    task = Task(behave, "f", (f"{tmp_path}/",), tuple(enumerate(kinds)))
    with WorkerPool(1, 30.0) as pool:
        done = dict(pool.run([task]))
    assert done.pop(3).reason == "f: the decoder was killed, perhaps because memory ran out"
    assert done == {number: f"{tmp_path}/{kinds[number]}" for number in (0, 1, 2, 4)}


def never_ready(connection, environment):
    time.sleep(600)


def test_a_child_that_does_not_start_is_told(monkeypatch):
    monkeypatch.setattr(worker_pool, "_serve", never_ready)
    monkeypatch.setattr(worker_pool, "_START_SECONDS", 0.2)
    with (
        pytest.raises(ChildProcessError, match=r"did not start .in 0.2 s.: the machine"),
        WorkerPool(1, 9.0) as pool,
    ):
        list(pool.run([Task(behave, "f", ("f-",), ((0, "fine"),))]))


def test_pool_stops_when_the_disk_fails():
    task = Task(behave, "f", ("f-",), ((0, "disk"),))
    with pytest.raises(OSError, match="No space left"), WorkerPool(1, 9.0) as pool:
        list(pool.run([task]))


def assert_ended(note):
    """A child and the program that it started, of which the child left a note."""
    until = time.monotonic() + 20
    for number in note.read_text().split():
        status = pathlib.Path(f"/proc/{number}/status")
        while status.exists() and "State:\tZ" not in status.read_text():
            assert time.monotonic() < until, f"{number} goes on"
            time.sleep(0.05)


def test_what_a_child_started_ends_with_it(tmp_path):
    """At its deadline, when it crashes, and when the pool is closed."""
    kinds = ["program", "program and crash", "fine", "program at the end"]
    task = Task(behave, "f", (f"{tmp_path}/",), tuple(enumerate(kinds)))
    with WorkerPool(1, 1.5) as pool:
        outcomes = pool.run([task])
        assert [next(outcomes)[1].status for _ in range(2)] == ["timeout", "corrupt"]
        assert next(outcomes)[1] == f"{tmp_path}/fine"
        assert_ended(tmp_path / "program")
        assert_ended(tmp_path / "program and crash")
        note = tmp_path / "program at the end"
        while not note.exists() or not note.read_text():
            time.sleep(0.02)
    assert_ended(note)


PARENT = """
from tests.util.worker_pool_test import *
if __name__ == "__main__":
    task = Task(behave, "f", (sys.argv[1],), ((0, "program"),))
    with WorkerPool(1, 500.0) as pool:
        list(pool.run([task]))
"""


@pytest.mark.slow
def test_children_and_what_they_started_end_with_a_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path)]
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(root)})
    note, until = tmp_path / "program", time.monotonic() + 120
    while not note.exists() or not note.read_text():
        assert parent.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert_ended(note)


def test_closed_by_another_thread_a_run_ends_with_an_error():
    pool, errors = WorkerPool(1, 60.0), []

    def run():
        try:
            list(pool.run([Task(behave, "name", ("",), ((0, "hang"),))]))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while pool.peak_bytes() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    pool.close()
    thread.join(60)
    assert not thread.is_alive() and len(errors) == 1
