# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Claims on folders, in a store of this process' memory whose clock the tests set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from mmv_tf.util.storage import claims
from mmv_tf.util.storage.store import Entry, MissingError

DOING = "training there"


class Memory:
    """What `claims` needs of a store; its clock is an hour behind this machine's."""

    def __init__(self):
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.offset = -3600.0

    def now(self):
        return time.time() + self.offset

    def write(self, name, data):
        self.objects[name] = (data, self.now())
        return self.stat(name)

    def read(self, name):
        if name not in self.objects:
            raise MissingError(name)
        return self.objects[name][0]

    def stat(self, name):
        if name not in self.objects:
            return None
        data, modified = self.objects[name]
        return Entry(len(data), "tag", modified)

    def list(self):
        return {name: self.stat(name) for name in self.objects}

    def remove(self, names):
        for name in names:
            self.objects.pop(name, None)


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(claims, "DEAD_SECONDS", 0.6)
    monkeypatch.setattr(claims, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(claims, "_POLL_SECONDS", 0.05)
    return Memory()


def held(store):
    return claims.held(store, "s3://bucket/run", DOING)


def leave(store, age=0.0, **process):
    """A claim that nobody writes again, as of another machine."""
    content = {"holder": "1 on elsewhere", "process": process or None}
    store.objects["other.json"] = (json.dumps(content).encode(), store.now() - age)


def test_a_claim_is_there_while_it_is_held_and_gone_then(store):
    with held(store) as claim:
        (first,) = store.list().values()
        claim.check()
        time.sleep(0.3)
        (later,) = store.list().values()
        assert later.modified > first.modified, "it is written again"
    assert store.list() == {}


def test_one_that_is_written_again_keeps_others_out(store):
    with held(store):
        with pytest.raises(ValueError, match=f"^s3://bucket/run: another program .* {DOING}"):
            held(store).__enter__()
        assert len(store.list()) == 1
    with held(store):
        pass


def test_a_silent_one_is_waited_for_and_dies(store, caplog):
    leave(store)
    started = time.monotonic()
    with held(store):
        assert time.monotonic() - started > 0.4
        assert len(store.list()) == 1
    assert "process 1 on elsewhere was training there" in caplog.text


def test_one_that_was_silent_long_enough_by_the_store_s_clock_is_not_waited_for(store, caplog):
    leave(store, age=10.0)
    with held(store):
        pass
    assert not caplog.records


def test_one_that_ends_while_it_is_waited_for(store, monkeypatch):
    monkeypatch.setattr(claims, "DEAD_SECONDS", 60.0)
    leave(store)
    threading.Timer(0.2, lambda: store.remove(["other.json"])).start()
    with held(store):
        pass


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(store, monkeypatch):
    monkeypatch.setattr(claims, "DEAD_SECONDS", 60.0)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = claims._process()
    assert own is not None
    process = {**own, "number": child.pid, "started": claims._started(child.pid)}
    assert process["started"] is not None
    leave(store, **process)
    assert not claims._has_ended(store, "other.json")
    child.kill()
    while claims._started(child.pid) is not None:  # until it is a zombie
        time.sleep(0.01)
    assert claims._has_ended(store, "other.json")
    with held(store):
        pass
    child.wait()
    child.stdin.close()
    # Its number may be another process' by now.
    leave(store, **{**process, "number": os.getpid()})
    assert claims._has_ended(store, "other.json")
    leave(store, **{**process, "namespace": "pid:[1]"})
    assert not claims._has_ended(store, "other.json"), "a container with numbers of its own"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"process": 3}', b"\xff", b"{" * 9999])
def test_a_claim_that_can_t_be_read_is_one_of_somebody(store, content):
    store.objects["other.json"] = (content, store.now())
    started = time.monotonic()
    with held(store):
        assert time.monotonic() - started > 0.4


def test_a_holder_whose_claim_was_taken_is_told(store):
    with held(store) as claim:
        store.remove(list(store.list()))
        with pytest.raises(ValueError, match="another one has taken its place"):
            claim.check()
        time.sleep(0.3)
        assert store.list() == {}, "it does not come back"


def test_of_many_that_start_at_once_one_at_most_holds(store):
    inside, most, refused = [], [], []

    def run():
        try:
            with held(store):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.5)
                inside.pop()
        except ValueError:
            refused.append(1)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most, default=0) <= 1
    assert len(most) + len(refused) == 6
