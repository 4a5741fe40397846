# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Agreement as one process can test it; processes_test and train_workers_test start two."""

import types

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.training import WorkerLostError, workers


@pytest.fixture
def second_of_three(monkeypatch):
    """A strategy's stand-in: this is worker 1 of 3, who all say what it says."""
    gathered = []

    def gather(strategy, row):
        gathered.append(len(row))
        return np.stack([row] * 3)

    monkeypatch.setattr(workers, "worker_and_workers", lambda strategy: (1, 3))
    monkeypatch.setattr(workers, "_gather", gather)
    addresses = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    spec = types.SimpleNamespace(as_dict=lambda: addresses)
    resolver = types.SimpleNamespace(cluster_spec=lambda: spec)
    return types.SimpleNamespace(cluster_resolver=resolver, gathered=gathered)


@pytest.mark.parametrize("text", ["", "é", "finished"])
def test_no_rows_without_elements_are_gathered(second_of_three, text):
    assert workers.gather_texts(second_of_three, text) == [text] * 3
    workers.barrier(second_of_three)
    assert min(second_of_three.gathered) >= 1, "TensorFlow crashes at them"


@pytest.mark.parametrize(
    ("message", "who"),
    [
        ("recvmsg from /job:worker/replica:0/task:1 while calling", "Worker 2"),
        ("at /job:worker/replica:0/task:0: lost /job:chief/task:0", "Worker 0"),
        ("/job:worker/task:1 and /job:chief/task:0", "Another worker"),
        ("Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat", "Worker 0"),
        ("Graph execution error", "Another worker"),
    ],
)
@pytest.mark.parametrize(
    "kind",
    [
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.DeadlineExceededError,
    ],
)
def test_a_lost_worker_is_named(second_of_three, message, who, kind):
    with (
        pytest.raises(WorkerLostError, match=f"^{who} no longer responds"),
        workers.losses_explained(second_of_three),
    ):
        raise kind(None, None, message)


def test_alone_the_error_is_another(monkeypatch):
    with (
        pytest.raises(tf.errors.AbortedError),
        workers.losses_explained(tf.distribute.get_strategy()),
    ):
        raise tf.errors.AbortedError(None, None, "x")
