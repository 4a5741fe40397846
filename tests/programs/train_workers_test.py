# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Two workers of `mmv train`, started as a user does, and what may happen to either."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.util import locks
from tests import running, small_world
from tests.cluster import free_ports, tf_config

pytestmark = pytest.mark.slow  # half a minute a start; agreement_test has a quick one

SECONDS = 300.0
STEPS = 16
STOPPED, LOST, PREEMPTED = -signal.SIGKILL, 1, 42


class Run:
    """A run's folder, and the two workers that train in it."""

    def __init__(self, data, folder):
        words = small_world.write_word_vectors(folder.parent)
        self.folder = folder
        self._flags = [
            *("--config=tests/small_run.py:silent", "--strategy=multi_worker"),
            *(f"--config.training.steps={STEPS}", "--config.training.keep_checkpoints=99"),
            *(f"--data={data}", f"--word_vectors={words}", f"--output={folder}"),
        ]
        self.workers = []

    def start(self, *more):
        ports = free_ports(2)
        self.workers = [
            subprocess.Popen(
                [sys.executable, "-m", "mmv_tf", "train", *self._flags, *more],
                cwd=running.ROOT,
                env={**os.environ, "TF_CONFIG": tf_config(ports, index)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(2)
        ]

    def wait_for(self, step):
        deadline = time.monotonic() + SECONDS
        while not (self.folder / "checkpoints" / f"step-{step:08d}").exists():
            assert time.monotonic() < deadline
            assert [worker.poll() for worker in self.workers] == [None, None]
            time.sleep(0.01)

    def last_step(self):
        return max(int(path.name[5:]) for path in (self.folder / "checkpoints").glob("step-*"))

    def end(self, *statuses):
        """The last lines of the workers, which end with these statuses."""
        try:
            texts = [worker.communicate(timeout=SECONDS)[1] for worker in self.workers]
        finally:
            for worker in self.workers:
                worker.kill()
        assert tuple(worker.returncode for worker in self.workers) == statuses, texts
        assert not any("Traceback" in text for text in texts), texts
        return [(text.splitlines() or [""])[-1] for text in texts]

    def weights(self):
        return [variable.numpy() for variable in training.load_model(self.folder).variables]


@pytest.fixture(scope="module")
def whole(prepared, tmp_path_factory):
    """A run that nothing happened to."""
    run = Run(prepared, tmp_path_factory.mktemp("whole") / "run")
    run.start()
    run.end(0, 0)
    return run


def test_they_train_to_the_end(whole):
    assert whole.last_step() == STEPS
    assert all(np.isfinite(values).all() for values in whole.weights())
    whole.start()
    whole.end(0, 0)


def test_killed_stopped_and_paused_they_end_as_if_nothing_had_happened(whole, prepared, tmp_path):
    run = Run(prepared, tmp_path / "run")
    for victim, step in enumerate((2, 5)):
        run.start()
        run.wait_for(step)
        run.workers[victim].kill()
        statuses = [LOST, LOST]
        statuses[victim] = STOPPED
        lines = run.end(*statuses)
        assert lines[1 - victim] == (
            f"error: Worker {victim} no longer responds. Start all workers again; they resume "
            "from the last checkpoint."
        )
    run.start()
    run.wait_for(8)
    run.workers[1].send_signal(signal.SIGTERM)
    run.end(PREEMPTED, PREEMPTED)
    assert 8 <= run.last_step() < STEPS
    run.start()
    run.wait_for(12)
    run.workers[1].send_signal(signal.SIGSTOP)
    time.sleep(3)
    paused_at = run.last_step()
    time.sleep(1)
    assert run.last_step() == paused_at < STEPS
    run.workers[1].send_signal(signal.SIGCONT)
    run.end(0, 0)
    for one, other in zip(run.weights(), whole.weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_worker_that_stays_stopped_ends_both_in_one_line(prepared, tmp_path, stopped):
    run = Run(prepared, tmp_path / "run")
    run.start()
    run.wait_for(1)
    run.workers[stopped].send_signal(signal.SIGSTOP)
    assert run.workers[1 - stopped].wait(120) == LOST
    run.workers[stopped].send_signal(signal.SIGCONT)
    lines = run.end(LOST, LOST)
    assert f"error: Worker {stopped} no longer responds" in lines[1 - stopped]


def test_other_data_are_refused_by_both(whole, tmp_path):
    other = small_world.prepare(tmp_path, seconds=12.0)
    resumed = Run(other, whole.folder)
    resumed.start()
    for line in resumed.end(1, 1):
        assert line.startswith(f"error: {other}: splits.train.records is ")


def test_a_second_run_in_the_folder_is_refused_by_both(prepared, tmp_path):
    run = Run(prepared, tmp_path / "run")
    with locks.held(run.folder / "lock", run.folder, "busy"):
        run.start()
        for line in run.end(1, 1):
            assert line.startswith(f"error: {run.folder}: another program (process {os.getpid()} ")
    assert {path.name for path in run.folder.iterdir()} == {"lock"}
