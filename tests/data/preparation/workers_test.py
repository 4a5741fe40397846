# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import time

import pytest

from mmv_tf.data import media
from mmv_tf.data.preparation import workers
from mmv_tf.data.preparation.tasks import Task
from mmv_tf.data.preparation.workers import WorkerPool


# A child's task; child processes import it from here.
def behave(prefix, kinds):
    for kind in kinds:
        if kind == "hang":
            time.sleep(600)
        if kind == "crash":
            os.abort()
        if kind == "media":
            raise media.MediaError(f"{prefix}: bad")
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


def never_ready(connection):
    time.sleep(600)


def test_a_child_that_does_not_start_is_told(monkeypatch):
    monkeypatch.setattr(workers, "_serve", never_ready)
    monkeypatch.setattr(workers, "_START_SECONDS", 0.2)
    with (
        pytest.raises(ChildProcessError, match=r"did not come up .in 0.2 s.: the machine"),
        WorkerPool(1, 9.0) as pool,
    ):
        list(pool.run([Task(behave, "f", ("f-",), ((0, "fine"),))]))


def test_pool_stops_when_the_disk_fails():
    task = Task(behave, "f", ("f-",), ((0, "disk"),))
    with pytest.raises(OSError, match="No space left"), WorkerPool(1, 9.0) as pool:
        list(pool.run([task]))
