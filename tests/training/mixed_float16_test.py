# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A whole network under "mixed_float16", from its configuration to a run that is resumed."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import training
from mmv_tf.pretrained import create_model
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.trainer import Trainer
from tests import small_world
from tests.training import linear_world, train_step_test

BATCH, STEPS = 4, 6
# Overflows float16 here: the gradient's norm is 13,000. 256 does not.
TOO_HIGH = 2.0**11


def model(dtype="mixed_float16"):
    seed_everything(0, deterministic=False)
    config = small_world.model_config()
    config.dtype = dtype
    vectors = np.random.default_rng(0).normal(size=(len(small_world.WORDS), 6))
    return create_model(config, small_world.WORDS, vectors.astype(np.float32))


def examples():
    generator = np.random.default_rng(0)
    return {
        "video": generator.random((8, 4, 32, 32, 3), np.float32),
        "audio": generator.standard_normal((8, 40, 80, 1), np.float32),
        "text": generator.integers(0, 9, (8, 2, 6)).astype(np.int32),
        "valid/video": np.ones(8, bool),
        "valid/audio": np.arange(8) != 2,
        "valid/text": np.ones((8, 2), bool),
        "example_id": np.array([f"clip-{n}" for n in range(8)]),
    }


def trainer(directory):
    settings = linear_world.settings(steps=STEPS)
    optimizer = linear_world.optimizer_settings(learning_rate=1e-3)
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        network = model()
    return Trainer(network, strategy, settings, optimizer, directory)


def run(one, **arguments):
    return one.run(linear_world.dataset(BATCH, examples()), BATCH, **arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run whose first steps overflow."""
    one = trainer(tmp_path_factory.mktemp("whole"))
    one.train_step.loss_scale.scale.assign(TOO_HIGH)
    return run(one), one


@pytest.mark.slow
def test_a_network_computes_in_float16_and_gives_float32(whole):
    _, one = whole
    network = one.model
    assert {weight.dtype for weight in network.weights} == {"float32"}
    values = {key: value for key, value in examples().items() if key in ("video", "audio")}
    endpoints = network.video(values["video"], return_endpoints=True)
    # The first layers, gates and heads stay in float32: mmv_tf.layers.base.
    assert endpoints["Conv2d_2c_3x3"].dtype == tf.float32
    assert endpoints["embedding"].dtype == tf.float16
    for embeddings in network(values).values():
        assert {value.dtype for value in embeddings.values()} == {tf.float32}
    heads = [head for m in network.modalities for _, head, _ in network.chain(m)]
    assert {head.compute_dtype for head in heads} == {"float32"}


@pytest.mark.slow
def test_steps_that_overflow_are_left_out_and_halve_the_scale(whole):
    metrics, one = whole
    overflows = metrics["loss_scale_overflows"]
    assert 1 <= overflows < STEPS
    assert metrics["nonfinite_steps"] == 0
    assert float(one.train_step.loss_scale.scale) == TOO_HIGH / 2**overflows
    assert int(one.optimizer.iterations) == STEPS - overflows
    assert np.isfinite(metrics["loss"])
    assert all(np.isfinite(weight).all() for weight in one.model.get_weights())


@pytest.mark.slow
def test_the_gradient_is_that_of_float32():
    batch = {name: value for name, value in examples().items() if name != "example_id"}
    batch = {name: tf.constant(value) for name, value in batch.items()}

    def flat(dtype):
        step = train_step_test.make_step(model(dtype))
        if step.loss_scale is not None:
            step.loss_scale.scale.assign(256.0)
        parts, numbers = train_step_test.gradient(step, batch)
        return np.concatenate([part.ravel() for part in parts]), numbers["gradient_norm"]

    (single, norm), (half, half_norm) = flat("float32"), flat("mixed_float16")
    assert half_norm == pytest.approx(norm, rel=0.2)
    # More than 0.98 where oneDNN computes in float16; on processors where it doesn't, TensorFlow's
    # own convolutions add up in float16: 0.963.
    assert single @ half / np.linalg.norm(single) / np.linalg.norm(half) > 0.95


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_its_scale(whole, tmp_path):
    metrics, finished = whole
    stopped = trainer(tmp_path)
    stopped.train_step.loss_scale.scale.assign(TOO_HIGH)
    steps = iter(range(1, STEPS + 1))

    def skipped():
        if next(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}

    with pytest.raises(training.Preempted, match="step 3;"):
        run(stopped, skipped=skipped)
    before = float(stopped.train_step.loss_scale.scale)
    assert before < TOO_HIGH
    resumed = trainer(tmp_path)
    seen = []

    def watched():
        seen.append(float(resumed.train_step.loss_scale.scale))
        return {}

    assert run(resumed, skipped=watched)["loss"] == metrics["loss"]
    assert max(seen) <= before
    for one, other in zip(
        resumed.train_step.loss_scale.variables,
        finished.train_step.loss_scale.variables,
        strict=True,
    ):
        assert one.numpy() == other.numpy()
    for one, other in zip(resumed.model.get_weights(), finished.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
