# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers.convolution import convolve, known_sizes
from tests.pretrained import numpy_reference

KERNELS = [
    ((1, 1, 1), (1, 1, 1)),
    ((1, 1, 1), (1, 2, 2)),
    ((3, 1, 1), (1, 1, 1)),
    ((5, 1, 1), (1, 1, 1)),
    ((4, 1, 1), (1, 1, 1)),
    ((3, 1, 1), (2, 1, 1)),
    ((1, 3, 3), (1, 1, 1)),
    ((2, 4, 4), (1, 1, 1)),
    ((1, 1), (1, 1)),
    ((1, 1), (2, 2)),
    ((3, 3), (2, 2)),
]


@pytest.mark.parametrize(("kernel", "strides"), KERNELS)
@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("batch", [2, None])
def test_outputs_and_gradients_are_those_of_the_plain_convolution(kernel, strides, frames, batch):
    random = np.random.default_rng(0)
    sizes = [frames, 5, 6][-len(kernel) :]
    x = random.normal(size=(2, *sizes, 3)).astype(np.float32)
    w = random.normal(size=(*kernel, 3, 4)).astype(np.float32)

    def plain(x, w):
        convolution = tf.nn.conv3d if len(kernel) == 3 else tf.nn.conv2d
        return convolution(x, w, [1, *strides, 1], "SAME")

    def run(function):
        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([batch, *sizes, 3]), tf.TensorSpec(w.shape)],
        )
        def all_of_it(x, w):
            with tf.GradientTape() as tape:
                tape.watch((x, w))
                y = function(x, w)
                loss = tf.reduce_sum(tf.sin(y))
            return y, *tape.gradient(loss, (x, w))

        return all_of_it(x, w)

    found = run(lambda x, w: convolve(x, w, strides, training=True))
    for one, other in zip(found, run(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    if len(kernel) == 3 and set(strides) == {1}:
        expected = numpy_reference.convolve(x.astype(np.float64), w.astype(np.float64))
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


def test_at_inference_pointwise_kernels_are_convolutions_that_can_be_fused():
    x, w = tf.ones([1, 2, 4, 4, 3]), tf.random.stateless_normal([1, 1, 1, 3, 5], [0, 0])

    def operations(training):
        function = tf.function(lambda x: convolve(x, w, (1, 1, 1), training), autograph=False)
        np.testing.assert_allclose(function(x), tf.tensordot(x, w[0, 0, 0], 1), rtol=1e-5)
        return {o.type for o in function.get_concrete_function(x).graph.get_operations()}

    assert "Conv3D" in operations(False) and "MatMul" in operations(True)


def test_known_sizes_reshape_to_the_same_shape():
    for signature in ([None, 3, 4], [2, 3, 4], [None, None, 4], [None, None, None]):

        @tf.function(autograph=False, input_signature=[tf.TensorSpec(signature)])
        def there_and_back(x):
            return tf.reshape(tf.reshape(x, [-1]), known_sizes(x))

        assert there_and_back(tf.zeros([2, 3, 4])).shape == (2, 3, 4)
