# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exchanges between two processes; between replicas of one, batch_norm_test.py has them."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

from mmv_tf.layers import replicas
from tests.cluster import free_ports, tf_config

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
    import json, os
    import numpy as np, tensorflow as tf
    from mmv_tf.layers import replicas

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    worker = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    values = [np.random.default_rng(i).normal(size=(2, 3)).astype(np.float32) for i in range(2)]
    weights = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)

    def once(own):
        own = tf.identity(own)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(own)
            ours = replicas.rows_of_all_replicas(own)
            theirs = tf.distribute.get_replica_context().all_gather(own, axis=0)
            losses = [tf.reduce_sum((worker + 1) * weights * rows**2) for rows in (ours, theirs)]
        gradients = [tape.gradient(loss, own) for loss in losses]
        each, total = replicas.of_each_replica(own), replicas.sum_over_replicas(own)
        return ours, theirs, *gradients, each, total

    # Two functions, and one that is traced again by one process only.
    for again in range(2):
        step = tf.function(lambda own: strategy.run(once, args=(own,)), autograph=False)
        found = step(values[worker])
        ours, theirs, by_ours, by_theirs, each, total = (one.numpy() for one in found)
        np.testing.assert_array_equal(ours, np.concatenate(values))
        np.testing.assert_array_equal(theirs, ours)
        np.testing.assert_allclose(by_ours, by_theirs, rtol=1e-6)
        np.testing.assert_allclose(by_ours[0], 6 * weights[2 * worker] * values[worker][0], 1e-5)
        np.testing.assert_array_equal(each, np.stack(values))
        np.testing.assert_array_equal(total, values[0] + values[1])
        if worker == 0:
            step.get_concrete_function(tf.TensorSpec([2, 3], name="other"))
    print("agree")
"""


@pytest.mark.slow
def test_two_processes_exchange():
    ports = free_ports(2)
    workers = []
    for index in range(2):
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(PROGRAM)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TF_CONFIG": tf_config(ports, index),
                    "CUDA_VISIBLE_DEVICES": "",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        for worker in workers:
            out, error = worker.communicate(timeout=240)
            assert "agree" in out, error[-3000:]
    finally:
        for worker in workers:
            worker.kill()


def test_one_replica_has_only_its_own():
    tensor = tf.constant([[1.0, 2.0]])
    assert replicas.of_each_replica(tensor).numpy().tolist() == [[[1.0, 2.0]]]
    assert replicas.sum_over_replicas(tensor) is tensor
    assert replicas.rows_of_all_replicas(tensor) is tensor


def test_keys_are_the_nth_of_a_size_in_each_function():
    def keys(*sizes):
        found = []

        @tf.function(autograph=False)
        def outer():
            @tf.function(autograph=False)
            def inner():
                found.extend(replicas._next_key(size) for size in sizes)
                return tf.zeros([])

            return inner()

        outer()
        return found

    assert keys(6, 6, 9) == keys(6, 6, 9)
    assert len(set(keys(6, 6, 9, 12, 6))) == 5
