# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation.feature_tasks import FeatureTasks, group_size
from mmv_tf.util.shares import Share

NAMES = [f"item {number:03d}" for number in range(47)]
BROKEN = {"item 004", "item 030"}


class Embedder:
    """Stand-in for a model whose features depend on the batch, of 5 items."""

    def __init__(self, tasks, stop_after=None):
        self._tasks, self._left = tasks, stop_after
        self.seen = []

    def __call__(self, todo, store, failures):
        waiting = []
        for name in [*todo, None]:
            group = None if name is None else NAMES.index(name) // self._tasks.group
            changed = waiting and group != NAMES.index(waiting[0]) // self._tasks.group
            if len(waiting) == 5 or changed:
                self._flush(waiting, store)
                waiting = []
            if name in BROKEN:
                failures.unreadable[name] = f"{name} is broken"
            elif name is not None:
                waiting.append(name)

    def _flush(self, batch, store):
        for place, name in enumerate(batch):
            if self._left is not None and len(self.seen) == self._left:
                raise KeyboardInterrupt
            self.seen.append(name)
            values = [NAMES.index(name), len(batch), place]
            store.add(name, self._tasks.versions[name], {"va": np.array([values], np.float32)})


def make(output, file_format="npz", versions=None, **description):
    versions = {name: f"{name} 1" for name in NAMES} if versions is None else versions
    return FeatureTasks(output, description, 7, file_format, versions, group_size(4, 2))


@pytest.fixture
def of_one(tmp_path):
    """The bytes that one machine writes."""

    def write(file_format):
        tasks = make(tmp_path / "one", file_format)
        store, failures = tasks.store(), _failures()
        Embedder(tasks)(NAMES, store, failures)
        store.flush()
        return contents(tmp_path / "one")

    return write


def _failures():
    from mmv_tf.evaluation.features import Failures

    return Failures()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_group_is_a_multiple_of_a_batch():
    assert [group_size(8, 1), group_size(4, 2), group_size(3, 2)] == [64, 64, 64]
    assert group_size(200, 1) == 200
    assert group_size(10, 3) == 64


@pytest.mark.parametrize("file_format", ["npz", "parquet"])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_the_bytes_are_those_of_one_machine(tmp_path, monkeypatch, of_one, count, file_format):
    if file_format == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("mmv_tf.evaluation.feature_tasks._GROUP_ITEMS", 6)
    expected = of_one(file_format)
    tasks = make(tmp_path / "tasks", file_format)
    seen = []
    for number in range(count, 0, -1):
        embedder = Embedder(tasks)
        tasks.do(Share(number, count), embedder)
        seen += embedder.seen
    assert sorted(seen) == [name for name in NAMES if name not in BROKEN]
    failures = _failures()
    tasks.finish(failures)
    assert set(failures.unreadable) == BROKEN
    assert contents(tmp_path / "tasks") == expected
    assert not (tmp_path / "tasks" / ".tasks").exists()


def test_an_interrupted_task_goes_on(tmp_path, monkeypatch, of_one):
    monkeypatch.setattr("mmv_tf.evaluation.feature_tasks._GROUP_ITEMS", 6)
    expected = of_one("npz")
    tasks = make(tmp_path / "tasks")
    with pytest.raises(KeyboardInterrupt):
        tasks.do(Share(1, 2), Embedder(tasks, stop_after=16))
    rest = Embedder(tasks)
    tasks.do(Share(1, 2), rest)
    # Two parts of 7 were kept; the group in which the second ends is embedded again.
    assert 0 < len(rest.seen) < 23
    again = Embedder(tasks)
    tasks.do(Share(2, 2), again)
    tasks.finish(_failures())
    assert contents(tmp_path / "tasks") == expected


def test_missing_tasks_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("mmv_tf.evaluation.feature_tasks._GROUP_ITEMS", 6)
    tasks = make(tmp_path)
    with pytest.raises(ValueError, match="no task for these items is done; first run"):
        tasks.finish(_failures())
    tasks.do(Share(2, 3), Embedder(tasks))
    with pytest.raises(ValueError, match="tasks not done yet: '1/3', '3/3'; run --task=1/3"):
        tasks.finish(_failures())
    other = make(tmp_path, versions={name: f"{name} 2" for name in NAMES})
    with pytest.raises(ValueError, match=r"found tasks for other items or settings: '2/3'"):
        other.finish(_failures())


def test_what_is_there_is_not_embedded_again(tmp_path, monkeypatch):
    monkeypatch.setattr("mmv_tf.evaluation.feature_tasks._GROUP_ITEMS", 6)
    few = make(tmp_path, versions={name: f"{name} 1" for name in NAMES[:12]})
    few.do(Share(1, 1), Embedder(few))
    few.finish(_failures())
    tasks = make(tmp_path)
    embedder = Embedder(tasks)
    tasks.do(Share(1, 1), embedder)
    # Groups of 6; the first has a broken item, so that it is tried again.
    assert embedder.seen[:6] == [*NAMES[:4], NAMES[5], NAMES[12]]
    store = tasks.finish(_failures())
    assert len(list(tmp_path.glob("part-*"))) == 2 + 5
    assert store.load([NAMES[20]], "va")[0][0][0] == 20
