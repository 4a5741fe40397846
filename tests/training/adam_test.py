# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.training import optimizer as optimizer_lib
from mmv_tf.training.optimizer import Adam, apply_summed, check_optimizer


def oracle(weight, gradients, rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    first = second = np.zeros_like(weight)
    for step, gradient in enumerate(gradients, 1):
        weight = weight - rate * decay * weight
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        scale = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        weight = weight - scale * first / (np.sqrt(second) + epsilon)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_equals_its_formula(decay):
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 4))
    gradients = generator.normal(size=(4, 3, 4))
    weight = keras.Variable(start, dtype="float32")
    optimizer = Adam(0.05, decay=decay)
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
    expected = oracle(start, gradients, 0.05, decay)
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
    assert optimizer.iterations.numpy() == 4


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_is_what_a_run_gets_and_steps_as_keras_own(decay):
    settings = optimizer_lib.default_config()
    settings.update(weight_decay=decay, warmup_steps=2)
    own = optimizer_lib.make_optimizer(settings, 10)
    assert type(own) is Adam
    schedule = optimizer_lib.make_schedule(settings, 10)
    keras_own = keras.optimizers.Adam(
        schedule, weight_decay=decay or None, epsilon=settings.epsilon
    )
    keras_own.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    ends = []
    for optimizer in (own, keras_own):
        generator = np.random.default_rng(0)
        weights = [
            keras.Variable(generator.normal(size=(3, 4)), dtype="float32", name=name)
            for name in ("kernel", "bias")
        ]
        optimizer.build(weights)
        for _ in range(5):
            gradients = [generator.normal(size=(3, 4)).astype(np.float32) for _ in weights]
            optimizer.apply([tf.constant(gradient) for gradient in gradients], weights)
        ends.append([weight.numpy() for weight in weights])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)


def test_its_variables_are_those_of_keras_adam():
    paths = []
    for make in (keras.optimizers.Adam, Adam):
        optimizer = make(0.1)
        optimizer.build([keras.Variable(np.ones(3), name="kernel")])
        paths.append([(v.path.split("/")[-1], v.shape) for v in optimizer.variables])
    assert paths[0] == paths[1]


@pytest.mark.slow
def test_two_replicas_step_as_one():
    # Logical devices have to be made before TensorFlow starts, so in a process of its own.
    program = """
        import keras, numpy as np, tensorflow as tf
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
        from mmv_tf.training.optimizer import Adam, apply_summed
        found = []
        for strategy in (tf.distribute.get_strategy(),
                         tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
            with strategy.scope():
                weight = keras.Variable(np.linspace(-1, 1, 12), dtype="float32")
                optimizer = Adam(0.05, decay=0.1)
                optimizer.build([weight])
            @tf.function
            def step(shift):
                def apply():
                    apply_summed(optimizer, [tf.sin(tf.range(12.0) + shift)], [weight])
                strategy.run(apply)
            for shift in range(3):
                step(tf.constant(float(shift)))
            local = strategy.experimental_local_results(weight.value)
            found += [one.numpy() for one in local]
        assert len(found) == 3
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])
        print("agree")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert "agree" in done.stdout, done.stderr[-3000:]


@pytest.mark.parametrize(
    "settings", [{"weight_decay": 0.1}, {"clipnorm": 1.0}, {"use_ema": True}], ids=str
)
def test_settings_that_a_step_would_pass_over_are_refused(settings):
    with pytest.raises(ValueError, match=f"sets {next(iter(settings))}; use"):
        check_optimizer(keras.optimizers.SGD(0.1, **settings))


def test_its_configuration_makes_it_anew():
    optimizer = Adam(0.1, 0.8, 0.9, 1e-5, decay=0.2)
    assert Adam.from_config(optimizer.get_config()).get_config() == optimizer.get_config()


def test_constraints_hold_after_a_step():
    weight = keras.Variable([1.0, 2.0], name="w")
    weight.constraint = keras.constraints.NonNeg()
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([weight])
    apply_summed(optimizer, [tf.constant([3.0, 1.0])], [weight])
    np.testing.assert_array_equal(weight.numpy(), [0.0, 1.0])
