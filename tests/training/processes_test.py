# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several processes that train together, and processes that are stopped and killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.cluster import free_ports, tf_config
from tests.training import worker_main

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 240


def start(directory, strategy="one_device", cluster=None, **arguments):
    """A process of `worker_main`; `cluster` is (ports, index)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("TF_CONFIG", None)
    if cluster:
        environment["TF_CONFIG"] = tf_config(*cluster)
    arguments |= {"directory": str(directory), "strategy": strategy}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.worker_main", json.dumps(arguments)],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_two(directory, different=None, **arguments):
    ports = free_ports(2)
    return [
        start(
            directory,
            "multi_worker",
            (ports, index),
            **{**arguments, **(different if different and index else {})},
        )
        for index in range(2)
    ]


def finish(processes, status=0):
    """Waits for all; returns what they wrote to standard error."""
    try:
        texts = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    assert [process.returncode for process in processes] == [status] * len(processes), texts
    return texts


def wait_for(path, process):
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    """What one process with one replica finds, and with two, deterministically."""
    run = tmp_path_factory.mktemp("alone")
    result = run / "result.json"
    finish([start(run, "one_and_two", deterministic=True, result=str(result))])
    return read(result)


@pytest.fixture(scope="module")
def alone(replicas):
    """What one process with one replica finds."""
    return replicas["one"]


def assert_close(found, alone):
    """R replicas with b rows each find what one finds with R * b: loss, gradient and weights."""
    reference = {step: values for step, *values in alone["steps"]}
    assert found["steps"][-1][0] == alone["steps"][-1][0]
    step, *values = found["steps"][0]
    np.testing.assert_allclose(values, reference[step], rtol=1e-5)
    for one, other in zip(found["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # of its parts: one_pass_adam_test, batch_norm_test, exchange_test
def test_two_replicas_equal_one_with_the_whole_batch(replicas):
    """With clips that lack a sound or a narration, several candidates, and a clipped gradient."""
    one, two = replicas["one"], replicas["two"]
    assert_close(two, one)
    assert one["steps"][0][2] > worker_main.CLIP_NORM
    gradients = [np.concatenate([np.ravel(v) for v in r["gradient"]]) for r in (one, two)]
    difference = np.linalg.norm(gradients[1] - gradients[0])
    assert 0 < difference <= 1e-5 * np.linalg.norm(gradients[0])


@pytest.mark.slow  # a quick one is the layer's own
def test_replicas_may_have_batch_statistics_of_their_own(tmp_path, replicas):
    result = tmp_path / "result.json"
    settings = dict(deterministic=True, common_batch_statistics=False)
    finish([start(tmp_path, "one_and_two", result=str(result), **settings)])
    found = read(result)
    assert found["one"] == replicas["one"], "one replica has no others"
    losses = [run["two"]["steps"][0][1] for run in (found, replicas)]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_two_workers_equal_one_and_stop_and_go_on_together(tmp_path, alone):
    workers = start_two(tmp_path, slow=0.2)
    wait_for(tmp_path / "running-1", workers[1])
    workers[1].send_signal(signal.SIGTERM)  # one is told, both stop
    texts = finish(workers, status=42)
    assert all("Stopped at step" in text for text in texts)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))[-1]
    names = {path.name.split(".")[0] for path in (tmp_path / "checkpoints" / kept).iterdir()}
    assert names == {"checkpoint", "state", "worker-0", "worker-1"}
    result = tmp_path / "result.json"
    finish(start_two(tmp_path, result=str(result)))
    assert_close(read(result), alone)


@pytest.mark.slow
def test_workers_stop_early_together_with_the_best_weights(tmp_path):
    """Only the first evaluates; the second finishes in the same step, and its weights are read."""
    settings = dict(
        evaluate_every_steps=2, stop_after=2, best_metric="held_out/R@1", best_is="most", steps=20
    )
    results = [{"result": str(tmp_path / f"result-{worker}.json")} for worker in range(2)]
    different = results[1]
    finish(
        start_two(tmp_path, different, **results[0], recalls=[0.1, 0.4, 0.4, 0.2, 0.9], **settings)
    )
    first, second = (read(pathlib.Path(result["result"])) for result in results)
    assert [step for step, *_ in first["steps"]] == list(range(1, 9))
    assert [step for step, *_ in second["steps"]] == list(range(1, 9))
    assert first["weights"] == second["weights"]
    names = [path.name for path in sorted((tmp_path / "checkpoints").glob("step-*"))]
    assert names == ["step-00000004", "step-00000006", "step-00000008"]


@pytest.mark.slow
def test_workers_with_different_settings_refuse_to_start(tmp_path):
    workers = start_two(tmp_path, different={"optimizer": {"learning_rate": 0.5}})
    for text in finish(workers, status=1):
        assert "optimizer.learning_rate is 0.05 for worker 0 and 0.5 for worker 1" in text


@pytest.mark.slow
def test_killed_and_started_again_equals_never_killed_bit_for_bit(tmp_path, alone):
    settings = dict(deterministic=True, checkpoint_every_steps=1)
    process = start(tmp_path, slow=0.3, **settings)
    wait_for(tmp_path / "running-0", process)
    time.sleep(0.7)
    process.kill()
    finish([process], status=-signal.SIGKILL)
    result = tmp_path / "result.json"
    finish([start(tmp_path, result=str(result), **settings)])
    found = read(result)
    assert found["steps"][0][0] > 1, "it went on and did not start again"
    assert found["steps"] == alone["steps"][-len(found["steps"]) :]
    assert found["weights"] == alone["weights"]
