# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Outputs and gradients of layers by whichever kernels this process runs, eagerly and compiled.

TF_ENABLE_ONEDNN_OPTS=0 python -m tests.kernels FILE NAME ...
"""

from __future__ import annotations

import sys

import mmv_tf  # isort: skip  # noqa: F401  # before Keras, whose backend it chooses
import keras
import numpy as np
import tensorflow as tf

from mmv_tf.layers import MaxPool
from tests import conformance_test as conformance

# Of one call each: what a network is made of besides its layers.
OPERATIONS = {
    "relu": (tf.nn.relu, "signs"),
    "reduce_max": (lambda x: tf.reduce_max(x, axis=1), "ties"),
    "reduce_mean": (lambda x: tf.reduce_mean(x, axis=[1, 2, 3]), "ties"),
    "maximum": (lambda x: tf.maximum(x, tf.reverse(x, [1])), "ties"),
    "add_n": (lambda x: tf.add_n([x, 2.0 * x, tf.square(x)]), "noise"),
    "l2_normalize": (lambda x: tf.math.l2_normalize(x, axis=-1), "noise"),
    "l2_normalize of zeros": (lambda x: tf.math.l2_normalize(0.0 * x, axis=-1), "noise"),
    "logsumexp": (lambda x: tf.reduce_logsumexp(x, axis=[1, 2, 3]), "ties"),
    "sigmoid": (tf.sigmoid, "noise"),
    "max_pool2d": (
        lambda x: tf.nn.max_pool2d(tf.reshape(x, [-1, *x.shape[2:]]), 3, 2, "SAME"),
        "ties",
    ),
    "avg_pool3d": (lambda x: tf.nn.avg_pool3d(x, 3, 2, "SAME"), "noise"),
    "avg_pool2d": (
        lambda x: tf.nn.avg_pool2d(tf.reshape(x, [-1, *x.shape[2:]]), 3, 2, "SAME"),
        "noise",
    ),
    "depthwise": (
        lambda x: tf.nn.depthwise_conv2d(
            tf.reshape(x, [-1, *x.shape[2:]]), tf.ones([3, 3, x.shape[-1], 1]), [1] * 4, "SAME"
        ),
        "noise",
    ),
    "conv3d": (
        lambda x: tf.nn.conv3d(x, tf.ones([3, 3, 3, x.shape[-1], 4]), [1, 1, 2, 2, 1], "SAME"),
        "noise",
    ),
}
# Window, strides.
POOLS = [
    ((3, 3, 3), (1, 1, 1)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
    ((1, 3, 3), (1, 2, 2)),
    ((3, 1, 1), (1, 1, 1)),
    ((2, 3, 2), (1, 2, 3)),
    ((1, 1, 1), (2, 1, 2)),
]
PADDINGS = ("same", "valid")
POOL_INPUTS = ("equal", "ties", "zeros", "noise")
DTYPES = ("float32", "bfloat16", "float16")


def make_tensor(kind: str, shape: tuple[int, ...] = (2, 5, 7, 6, 3)) -> np.ndarray:
    """Values below zero, where padding of zeros would win; all equal, many equal, or none."""
    generator = np.random.default_rng(0)
    made = {
        "equal": lambda: np.full(shape, -2.0),
        "ties": lambda: generator.integers(-3, 1, shape),
        "signs": lambda: generator.integers(-1, 2, shape),
        # As a ReLU leaves it.
        "zeros": lambda: np.maximum(generator.standard_normal(shape), 0.0),
        "noise": lambda: generator.standard_normal(shape) - 3.0,
    }
    return made[kind]().astype(np.float32)


def weights_of(outputs: np.ndarray) -> np.ndarray:
    """The gradient that comes back to an output: small whole numbers, which add up exactly."""
    return (np.arange(outputs.size) % 5 + 1).reshape(outputs.shape).astype(np.float32)


def nudge(tensor: tf.Tensor) -> tf.Tensor:
    """Floats changed by about their last digits, as other kernels would have rounded them."""
    if not tensor.dtype.is_floating:
        return tensor
    noise = np.random.default_rng(2).standard_normal(tensor.shape)
    return tensor * tf.constant(1.0 + 1e-6 * noise, tensor.dtype)


def both(function, inputs, variables=()):
    """Outputs and gradients of a function of tensors, eagerly and compiled, array by array.

    With variables also for inputs that are nudged: deep networks of few rows amplify rounding.
    """

    def compute(tensors):
        with tf.GradientTape(watch_accessed_variables=bool(variables)) as tape:
            floating = [x for x in tf.nest.flatten(tensors) if x.dtype.is_floating]
            tape.watch(floating)
            outputs = tf.nest.flatten(function(tensors))
            loss = [
                tf.reduce_sum(x * tf.cast(weights_of(np.empty(x.shape)), x.dtype)) for x in outputs
            ]
        sources = [*floating, *variables]
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(loss, sources, unconnected_gradients=zero)
        return outputs, [tf.convert_to_tensor(gradient) for gradient in gradients]

    compiled = tf.function(compute, autograph=False)
    runs = (("eager", compute, inputs), ("compiled", compiled, inputs))
    if variables:
        runs = (*runs, ("nudged", compute, tf.nest.map_structure(nudge, inputs)))
    for mode, run, values in runs:
        outputs, gradients = run(values)
        for kind, values in (("outputs", outputs), ("gradients", gradients)):
            for index, value in enumerate(values):
                yield f"{mode}/{kind}/{index}", np.asarray(tf.cast(value, tf.float32))


def compute_case(name):
    """Of a layer, backbone or graph of the conformance test, in training."""
    inputs = conformance.make_inputs(name)
    layer = conformance.make(name)
    case = conformance.CASES[name]
    training = {} if name in conformance.WITHOUT_TRAINING else {"training": True}
    keep = [variable.numpy() for variable in layer.variables]

    def call(tensors):
        return layer(tensors, **case.arguments, **training)

    yield from both(call, inputs, [v.value for v in layer.trainable_variables])
    for variable, value in zip(layer.variables, keep, strict=True):
        variable.assign(value)


def compute_operation(name):
    """Of one operation."""
    function, kind = OPERATIONS[name]
    yield from both(function, tf.constant(make_tensor(kind)))


def compute_pools():
    """Of `MaxPool`, and its outputs by Keras' layer in one step."""
    for size, strides in POOLS:
        for padding in PADDINGS:
            for kind in POOL_INPUTS:
                for dtype in DTYPES:
                    key = f"{size}/{strides}/{padding}/{kind}/{dtype}"
                    inputs = tf.cast(make_tensor(kind), dtype)
                    layer = MaxPool(size, strides, padding, dtype=dtype)
                    for name, value in both(layer, inputs):
                        yield f"{key}/{name}", value
                    if dtype != "float16":  # which MaxPool3D has no kernel for
                        plain = keras.layers.MaxPooling3D(size, strides, padding, dtype=dtype)
                        yield f"{key}/plain", np.asarray(tf.cast(plain(inputs), tf.float32))


def compute(name: str) -> dict[str, np.ndarray]:
    """All values of one name: a conformance case, an operation, or "pools"."""
    if name == "pools":
        return dict(compute_pools())
    return dict((compute_operation if name in OPERATIONS else compute_case)(name))


if __name__ == "__main__":
    found = {
        f"{name}|{key}": value for name in sys.argv[2:] for key, value in compute(name).items()
    }
    np.savez(sys.argv[1], **{key.replace("/", "\\"): value for key, value in found.items()})
