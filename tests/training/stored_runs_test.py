# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Processes that train to an object store and are killed, on machines that remember nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from mmv_tf.training.stored_checkpoints import complete_checkpoints
from mmv_tf.util.storage.store import open_store
from tests import running
from tests.cluster import free_ports, tf_config

SECONDS = 240.0
STEPS = 12


def start(url, result, cache, strategy="one_device", cluster=None, **arguments):
    """A process of `worker_main` with a mirror of its own."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "MMV_TF_STORAGE_CACHE": str(cache)}
    environment.pop("TF_CONFIG", None)
    if cluster:
        environment["TF_CONFIG"] = tf_config(*cluster)
    arguments = {
        "strategy": strategy,
        "directory": url,
        "result": str(result),
        "steps": STEPS,
        "checkpoint_every_steps": 1,
        "deterministic": True,
        **arguments,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.worker_main", json.dumps(arguments)],
        env=environment,
        cwd=running.ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes, statuses=(0,)):
    try:
        texts = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert {process.returncode for process in processes} <= set(statuses), texts
    return texts


def weights(result):
    return [np.array(values) for values in json.loads(result.read_text())["weights"]]


def steps_in(url):
    return {int(name[5:]) for name in complete_checkpoints(open_store(url))}


def wait_for(url, step, processes):
    deadline = time.monotonic() + SECONDS
    while max(steps_in(url), default=-1) < step:
        assert time.monotonic() < deadline
        if any(process.poll() is not None for process in processes):
            return
        time.sleep(0.05)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, 20])
def test_killed_anywhere_the_weights_are_the_same_to_the_bit(s3_store, tmp_path, kills):
    """Each start is on a fresh machine, which has the store alone."""
    whole, killed = tmp_path / "whole.json", tmp_path / "killed.json"
    local = start(str(tmp_path / "local"), whole, tmp_path / "mirror", slow=0.0)
    finish([local])
    url, chance, left = f"{s3_store.url}/run", random.Random(kills), kills
    for attempt in range(4 * kills):
        process = start(url, killed, tmp_path / f"machine-{attempt}", slow=0.1)
        if left:
            # At any moment: before the first checkpoint, while one is uploaded, or between.
            first = max(steps_in(url), default=-1)
            if chance.random() < 0.8:
                wait_for(url, min(first + 1, STEPS), [process])
            time.sleep(chance.uniform(0.0, 0.6))
            if process.poll() is None:
                process.kill()
                left -= 1
            process.wait()
            process.stderr.close()
            continue
        finish([process])
        break
    assert left == 0, "it ended before it could be killed as often"
    same(weights(killed), weights(whole))
    there = {name.rpartition("/")[0] for name in open_store(f"{url}/checkpoints").list()}
    assert there == complete_checkpoints(open_store(url)), "nothing is half there"


@pytest.mark.slow
def test_two_workers_without_a_common_disk(s3_store, tmp_path):
    """One of them is killed, then each starts on a fresh machine."""

    def start_two(url, name, slow=0.0):
        ports = free_ports(2)
        return [
            start(
                url,
                tmp_path / f"{name}-{index}.json",
                tmp_path / f"{name}-machine-{index}",
                "multi_worker",
                (ports, index),
                slow=slow,
            )
            for index in range(2)
        ]

    finish(start_two(f"{s3_store.url}/whole", "whole"))
    url = f"{s3_store.url}/killed"
    for victim in range(2):
        workers = start_two(url, f"killed-{victim}", slow=0.2)
        wait_for(url, 3 * (victim + 1), workers)
        workers[victim].kill()
        finish(workers, (1, -9))
    assert max(steps_in(url)) < STEPS
    finish(start_two(url, "end"))
    for index in range(2):
        same(weights(tmp_path / f"end-{index}.json"), weights(tmp_path / f"whole-{index}.json"))
    names = {name.rpartition("/")[2] for name in open_store(url).list()}
    assert {"worker-0.index", "worker-1.index", "state.index"} <= names
