# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import BatchNorm

RANDOM = np.random.default_rng(0)


def oracle(x, gamma, beta, mean=None, variance=None, epsilon=1e-5):
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes) if mean is None else mean
    variance = x.var(axes) if variance is None else variance
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def make(channels=3):
    norm = BatchNorm(momentum=0.9)
    norm.build((None, channels))
    norm.gamma.assign([1.5, 0.5, 2.0])
    norm.beta.assign([0.1, -0.2, 0.3])
    return norm


@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 3), (2, 4, 5, 3), (2, 3, 4, 5, 3)])
def test_training_normalises_by_the_batch_and_moves_the_statistics(shape):
    x = RANDOM.normal(2.0, 3.0, shape).astype(np.float32)
    norm = make()
    expected = oracle(x.astype(np.float64), norm.gamma.numpy(), norm.beta.numpy())
    np.testing.assert_allclose(norm(x, training=True), expected, atol=2e-5)
    axes = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(norm.moving_mean, 0.1 * x.mean(axes), rtol=1e-4)
    # The biased variance: divided by n, as in the released networks.
    np.testing.assert_allclose(norm.moving_variance, 0.9 + 0.1 * x.var(axes), rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 5, 3)])
def test_inference_uses_the_moving_statistics(shape):
    x = RANDOM.normal(2.0, 3.0, shape).astype(np.float32)
    norm = make()
    norm.moving_mean.assign([1.0, 2.0, 3.0])
    norm.moving_variance.assign([0.5, 4.0, 9.0])
    expected = oracle(
        x, *(w.numpy() for w in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance))
    )
    np.testing.assert_allclose(norm(x), expected, atol=2e-5)
    np.testing.assert_array_equal(norm.moving_mean, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3), (2, 4, 5, 3)])
def test_dummy_rows_change_no_statistic_no_output_and_no_gradient(shape):
    x = RANDOM.normal(2.0, 3.0, (4, *shape)).astype(np.float32)
    padded = np.concatenate([x, 1e3 * np.ones((3, *shape), np.float32)])
    valid = np.array([True] * 4 + [False] * 3)
    weights = RANDOM.normal(size=x.shape).astype(np.float32)

    def run(inputs, valid):
        norm, inputs = make(), tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = norm(inputs, training=True, valid=valid)
            loss = tf.reduce_sum(outputs[:4] * weights)
        gradients = tape.gradient(loss, [inputs, norm.gamma.value, norm.beta.value])
        np.testing.assert_array_equal(gradients[0][4:], 0.0)
        gradients[0] = gradients[0][:4]
        return [outputs[:4], norm.moving_mean.value, norm.moving_variance.value, *gradients]

    for without, masked in zip(run(x, None), run(padded, valid), strict=True):
        np.testing.assert_allclose(without, masked, rtol=2e-4, atol=1e-4)


def test_a_batch_without_a_valid_row_leaves_the_moving_statistics_alone():
    norm = make()
    outputs = norm(np.ones([2, 4, 3], np.float32), training=True, valid=[False, False])
    assert np.isfinite(outputs).all()
    np.testing.assert_array_equal(norm.moving_mean, [0, 0, 0])
    np.testing.assert_array_equal(norm.moving_variance, [1, 1, 1])


@pytest.mark.parametrize("valid", [None, [True, True]])
def test_large_mean_keeps_its_digits(valid):
    x = (1000 + RANDOM.normal(0.0, 0.1, (2, 500, 3))).astype(np.float32)
    outputs = make()(x, training=True, valid=valid)
    expected = oracle(x.astype(np.float64), [1.5, 0.5, 2.0], [0.1, -0.2, 0.3])
    np.testing.assert_allclose(outputs, expected, atol=2e-2)


def test_wrong_momentum_is_refused():
    with pytest.raises(ValueError, match=r"momentum is 1\.5"):
        BatchNorm(momentum=1.5)


@pytest.mark.slow
def test_two_replicas_have_the_statistics_and_gradients_of_one_with_all_rows():
    """Or, by themselves, those of one with their rows, and the moving statistics of all."""
    # Logical devices have to be made before TensorFlow starts, so in a process of its own.
    program = """
        import contextlib
        import numpy as np, tensorflow as tf
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
        from mmv_tf.layers import BatchNorm
        from mmv_tf.layers.batch_norm import each_replica_by_itself
        x = np.random.default_rng(0).normal(2., 3., (6, 2, 4, 5, 3)).astype(np.float32)
        x[3:] += 10  # the replicas' means differ
        pick = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)

        def run(strategy, valid, rows=slice(None), mode=contextlib.nullcontext, whole=False):
            with strategy.scope():
                norm = BatchNorm(activation="relu")
                norm.build((None, 3))
            def step(x, pick, valid):
                with tf.GradientTape() as tape, mode():
                    tape.watch(x)
                    y = norm(x, training=True, valid=valid)
                    loss = tf.reduce_sum(y * pick)
                by_x, *by_weights = tape.gradient(loss, [x, norm.gamma.value, norm.beta.value])
                sums = tf.distribute.get_replica_context().all_reduce("sum", by_weights)
                return y, by_x, *(each[None] for each in sums)
            n = strategy.num_replicas_in_sync
            def part(a):
                if a is None: return None
                return strategy.experimental_distribute_values_from_function(
                    lambda c: tf.constant(np.split(a[rows], n)[c.replica_id_in_sync_group]))
            def flag(a):
                if a is None or not whole: return part(a)
                return strategy.experimental_distribute_values_from_function(
                    lambda c: tf.constant(np.split(a[rows], n)[c.replica_id_in_sync_group].all()))
            out = strategy.run(step, args=(part(x), part(pick), flag(valid)))
            local = [tf.concat(strategy.experimental_local_results(o), 0).numpy() for o in out]
            local[2:] = [each[0] for each in local[2:]]  # the same on every replica
            return [*local, norm.moving_mean.numpy(), norm.moving_variance.numpy()]

        def agree(one, other):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)

        alone = tf.distribute.get_strategy()
        mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        for valid in (None, np.array([1, 1, 0, 1, 0, 0], bool), np.array([1, 1, 1, 0, 0, 0], bool)):
            if valid is not None: pick[~valid] = 0
            one = run(alone, valid)
            agree(one, run(mirrored, valid))
            if valid is not None and valid[3:].max() == 0:
                # One flag for all of a replica's rows, as `embed_batch` gives it.
                agree(one, run(mirrored, valid, whole=True))
            first, second = (run(alone, valid, rows) for rows in (slice(3), slice(3, 6)))
            apart = run(mirrored, valid, mode=each_replica_by_itself)
            agree(apart[:2], [np.concatenate(pair) for pair in zip(first[:2], second[:2])])
            agree(apart[2:4], [sum(pair) for pair in zip(first[2:4], second[2:4])])
            agree(apart[4:], one[4:])
        print("agree")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert "agree" in done.stdout, done.stderr[-3000:]


def test_an_activation_is_a_relu_of_the_outputs():
    inputs = tf.random.stateless_normal([4, 2, 5, 5, 3], (0, 1))
    for training in (False, True):
        plain, activated = BatchNorm(), BatchNorm(activation="relu")
        expected = tf.nn.relu(plain(inputs, training=training))
        np.testing.assert_array_equal(activated(inputs, training=training), expected)
        for one, other in zip(plain.weights, activated.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_configuration_without_activation_is_that_of_earlier_versions():
    assert "activation" not in BatchNorm().get_config()
    assert BatchNorm.from_config(BatchNorm(activation="relu").get_config()).activation == "relu"


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation is 'gelu'; use None or 'relu'"):
        BatchNorm(activation="gelu")
