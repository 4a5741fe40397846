# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Kills at any request to a store: the next run, on another machine, gives the same bytes."""

import contextlib
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmv_tf.data import preparation
from mmv_tf.data.preparation import pipeline
from mmv_tf.util import worker_pool
from mmv_tf.util.shares import Share
from mmv_tf.util.storage.store import open_store
from tests import media_samples, running
from tests.data.preparation.conftest import run_here
from tests.data.preparation.samples import CUES, SETTINGS

STEPS = ("1/2", "2/2", "finish")
_ENDED = -signal.SIGKILL


def step_here(environment, url, step):
    """One step of the work, in a process of its own; parts that a pool would do are done here."""
    os.environ.update(environment)
    worker_pool.WorkerPool.run = run_here
    sources = preparation.find_sources(f"{url}/films")
    if "/" in step:
        job = pipeline.Job(sources, SETTINGS)
        preparation.prepare_task(job, f"{url}/data", Share.parse(step))
    else:
        preparation.prepare(sources, f"{url}/data", SETTINGS, finish=step == "finish")


class Killer:
    """Runs steps, and kills them at a request."""

    def __init__(self, store):
        self.store = store
        self.url = store.url
        self._random = random.Random(5)
        self._lock = threading.Lock()
        self._process = None
        self._left = None

    def plan(self, request):
        """Plan of the proxy: at the request of a kill, it is done or not, but never answered."""
        with self._lock:
            if self._left is None or self._process is None:
                return None
            self._left -= 1
            if self._left >= 0:
                return None
            os.kill(self._process.pid, signal.SIGKILL)
            self._left = None
            return self._random.choice(["cut", "lost"])

    def run(self, step, kill_at=None):
        """Does a step on a fresh machine, and returns its exit status."""
        self.store.fresh_machine()
        names = "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        names += "AWS_DEFAULT_REGION", "MMV_TF_STORAGE_CACHE"
        environment = {name: os.environ[name] for name in names}
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["mmv_tf.util.quiet_start", "mmv_tf.data.preparation"])
        process = context.Process(target=step_here, args=(environment, self.url, step))
        with self._lock:
            self._process, self._left = process, kill_at
            process.start()
        process.join(120)
        with self._lock:  # From here on, requests are the test's own.
            self._process = self._left = None
        return process.exitcode

    def objects(self):
        store = open_store(f"{self.url}/data")
        return {name: store.read(name) for name in store.list()}


@pytest.fixture
def killer(s3_store, tmp_path):
    """A killer, with the objects that a run without kills writes and its requests by step."""
    store = open_store(f"{s3_store.url}/films")
    for name in ("a", "b", "c"):
        media_samples.write_film(tmp_path / "film.mp4", 3.0, tone_start=1.0)
        media_samples.write_vtt(tmp_path / "film.vtt", CUES)
        store.upload(tmp_path / "film.mp4", f"{name}.mp4")
        store.upload(tmp_path / "film.vtt", f"{name}.vtt")
    killer = Killer(s3_store)
    with s3_store.faulty(killer.plan) as proxy:
        killer.requests = {}
        for step in (*STEPS, "whole"):
            before = len(proxy.requests)
            if step == "whole":
                open_store(f"{killer.url}/data").remove(killer.expected)
            assert killer.run(step) == 0
            killer.requests[step] = len(proxy.requests) - before
            killer.expected = killer.objects()
        yield killer


def check_kills(killer, kills, seed):
    """Kills runs at random requests of random steps, until there were so many kills."""
    chance, killed = random.Random(seed), 0
    while killed < kills:
        open_store(f"{killer.url}/data").remove(killer.objects())
        steps = ("whole",) if chance.random() < 0.3 else STEPS
        for step in steps:
            for _ in range(chance.randint(0, 2)):
                ended = killer.run(step, chance.randrange(killer.requests[step]))
                assert ended in (0, _ENDED)
                killed += ended == _ENDED
                # Nothing half visible: with a manifest, all is there.
                found = killer.objects()
                if "manifest.json" in found:
                    assert {name: found[name] for name in killer.expected} == killer.expected
            assert killer.run(step) == 0
        assert killer.objects() == killer.expected
    return killed


@pytest.mark.slow
def test_kills_change_nothing(killer):
    check_kills(killer, 3, seed=1)


@pytest.mark.slow
def test_many_kills_change_nothing(killer):
    assert check_kills(killer, 20, seed=2) >= 20


def children(parent):
    """The processes that another has started."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(folder.name))
    return found


def decoders(program):
    """The processes that decode, which the program's fork server has started."""
    found = []
    for one in children(program):
        with contextlib.suppress(OSError):
            if b"forkserver" in pathlib.Path(f"/proc/{one}/cmdline").read_bytes():
                found += children(one)
    return found


@pytest.mark.slow
def test_killed_decoders_cost_nothing(killer, tmp_path):
    """The program as a user runs it, whose decoding processes are killed."""
    killer.store.fresh_machine()
    open_store(f"{killer.url}/data").remove(killer.objects())
    arguments = [
        *(f"--videos={killer.url}/films", f"--output={killer.url}/data", "--short_side=24"),
        *("--frame_rate=10", "--sample_rate=8000", "--min_clip_seconds=0.5", "--num_shards=2"),
        *("--block_seconds=1.5", "--split_pattern=train,test", "--caption_window_seconds=5"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "prepare_data", *arguments, "--processes=2"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=running.ROOT,
    )
    chance, kills = random.Random(3), 0
    while process.poll() is None:
        # A task whose process is killed a third time is reported as lost.
        if kills < 2 and (found := decoders(process.pid)):
            time.sleep(chance.uniform(0.0, 1.5))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(found), signal.SIGKILL)
                kills += 1
        time.sleep(0.05)
    errors = process.communicate()[1]
    if process.returncode:
        # A process killed while it starts ends the program, which says what to do.
        assert "rerun the same command" in errors, errors
        done = running.run("prepare_data", *arguments)
        assert done.returncode == 0, done.stderr
    assert kills
    assert killer.objects() == killer.expected
