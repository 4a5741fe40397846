# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.training import optimizer as optimizer_lib
from mmv_tf.training import workers
from mmv_tf.training.optimizer import LARS


def settings(**changes):
    config = optimizer_lib.default_config()
    config.update(changes)
    return config


def test_linear_warm_up_then_half_a_cosine():
    schedule = optimizer_lib.make_schedule(settings(learning_rate=2.0, warmup_steps=10), 110)
    for step in (0, 3, 10, 35, 60, 109, 110):
        expected = step / 5 if step <= 10 else 1 + np.cos(np.pi * (step - 10) / 100)
        np.testing.assert_allclose(schedule(step), expected, rtol=1e-5, atol=1e-6)


def variables():
    generator = np.random.default_rng(0)
    kernel = keras.Variable(generator.normal(size=(3, 4)), dtype="float32", name="kernel")
    bias = keras.Variable(generator.normal(size=4), dtype="float32", name="bias")
    return [kernel, bias]


def test_lars_equals_its_formula():
    weights = variables()
    optimizer = LARS(0.5, momentum=0.9, decay=0.1, trust=0.01)
    optimizer.build(weights)
    expected = [weight.numpy().astype(np.float64) for weight in weights]
    velocity = [np.zeros_like(value) for value in expected]
    for step in range(3):
        gradients = [np.random.default_rng(step).normal(size=w.shape) for w in expected]
        optimizer.apply([tf.constant(g, tf.float32) for g in gradients], weights)
        for i, gradient in enumerate(gradients):
            rate = 0.5
            if i == 0:
                norm = np.linalg.norm(expected[i])
                rate *= 0.01 * norm / (np.linalg.norm(gradient) + 0.1 * norm)
                gradient = gradient + 0.1 * expected[i]
            velocity[i] = 0.9 * velocity[i] + rate * gradient
            expected[i] = expected[i] - velocity[i]
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight.numpy(), value, rtol=1e-5)


def test_decay_leaves_out_biases_and_batch_norm():
    weights = variables()
    before = [weight.numpy() for weight in weights]
    config = settings(name="adamw", weight_decay=0.1, learning_rate=1.0, warmup_steps=0)
    optimizer = optimizer_lib.make_optimizer(config, 10)
    optimizer.build(weights)
    optimizer.apply([tf.zeros_like(weight) for weight in weights], weights)
    np.testing.assert_allclose(weights[0].numpy(), 0.9 * before[0], rtol=1e-6)
    np.testing.assert_array_equal(weights[1].numpy(), before[1])


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"optimizer\.name is 'adamm'"):
        optimizer_lib.make_optimizer(settings(name="adamm"), 10)


def test_a_cluster_is_found_in_either_environment(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("SLURM_STEP_NODELIST", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        workers.find_cluster()
    for name, value in {
        "SLURM_STEP_NODELIST": "node[1-2]",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_PROCID": "1",
    }.items():
        monkeypatch.setenv(name, value)
    resolver = workers.find_cluster()
    assert len(resolver.cluster_spec().as_dict()["worker"]) == 2
    assert resolver.task_id == 1
