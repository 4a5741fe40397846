# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import InceptionBlock
from mmv_tf.losses import mil_nce, nce
from mmv_tf.util.gradient_order import copies

BLOCK = InceptionBlock((2, 2, 2, 2, 2, 2))
BLOCK.build((2, 2, 4, 4, 3))


def additions(function, *inputs):
    """Inputs of each AddN in the graph of a function and of its gradients."""

    @tf.function(autograph=False)
    def both(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(function(*inputs))
        return tape.gradient(loss, inputs)

    graph = both.get_concrete_function(*inputs).graph
    return [len(op.inputs) for op in graph.get_operations() if op.type == "AddN"]


def test_gradients_add_up():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        first, second, third = copies(x, 3)
        np.testing.assert_array_equal(third, x)
        loss = tf.reduce_sum(first * 2.0 + second * second + third * third * third)
    expected = 2.0 + 2.0 * x.numpy() + 3.0 * x.numpy() ** 2
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-6)


def block(x):
    return BLOCK(x, training=True)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (block, [(2, 2, 4, 4, 3)]),
        (nce, [(4, 8), (4, 8)]),
        (mil_nce, [(4, 8), (4, 2, 8)]),
    ],
)
def test_no_three_gradients_meet_in_one_sum(function, shapes):
    assert all(count == 2 for count in additions(function, *(tf.ones(s) for s in shapes)))


def test_three_plain_uses_would_meet():
    assert 3 in additions(lambda x: x * 2.0 + tf.sin(x) + tf.exp(x), tf.ones([2]))
