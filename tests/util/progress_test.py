# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import io

import pytest

from mmv_tf.util import progress as module
from mmv_tf.util.progress import Progress, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_now_and_then_with_rate_and_time_left(clock):
    file = io.StringIO()
    with Progress(100, "train", "steps", initial=20, file=file) as shown:
        clock[0] += 5
        shown.update(10, loss=1.23456)
        assert file.getvalue() == ""
        clock[0] += 5
        shown.update(10, loss=0.5, waiting="3%")
        clock[0] += 1
        shown.update(1)
    line, final = file.getvalue().splitlines()
    # 20 steps in 10 s; what an earlier run did counts as done, not towards the rate.
    assert line == "train: 40/100 steps (40%), 2 steps/s, 0:30 left, loss=0.5, waiting=3%"
    assert final == "train: 41/100 steps (41%), 1.91 steps/s, 0:11 taken, loss=0.5, waiting=3%"


def test_an_unknown_total_has_no_time_left(clock):
    file = io.StringIO()
    with Progress(None, "read", file=file, line_seconds=0.0) as shown:
        clock[0] += 3700
        shown.update(37)
    first, last = file.getvalue().splitlines()
    assert first == "read: 37 items, 0.01 items/s"
    assert last == "read: 37 items, 0.01 items/s, 1:01:40 taken"


def test_a_terminal_gets_a_bar():
    file = Terminal()
    with Progress(3, "train", "steps", file=file) as shown:
        shown.update(1, loss=2.0)
        shown.write("a line")
        shown.update(2)
    assert "3/3" in file.getvalue()
    assert "loss=2" in file.getvalue()
    assert "a line" in file.getvalue()


def test_an_error_still_closes_it():
    file = io.StringIO()
    with pytest.raises(KeyError), Progress(2, "work", file=file):
        raise KeyError("x")
    assert file.getvalue().startswith("work: 0/2")


def test_items_are_passed_on_and_counted(capsys):
    assert list(progress([1, 2, 3], "count")) == [1, 2, 3]
    assert "count: 3/3 items (100%)" in capsys.readouterr().err
