# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest
import tensorflow as tf

from mmv_tf.deflation.measures import peak_memory


def peak(function, inputs):
    found = peak_memory(tf.function(function), inputs)
    if found is None:
        pytest.skip("this device's allocator does not count")
    return found


def test_what_a_pass_holds_at_most_is_counted():
    inputs = tf.ones([1, 128, 128, 16])
    kernel = tf.ones([3, 3, 16, 32])
    output = 128 * 128 * 32 * 4

    def convolve(x):
        return tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME"))

    once = peak(convolve, inputs)
    # Some kernels take scratch space: a copy of the input, which is half of the output, and more.
    assert output <= once < 2 * output
    # What is freed before the next is there does not add up, what is held does. Where both are
    # computed at once, both are held, with the other's input.
    assert peak(lambda x: convolve(x) + convolve(2 * x[:, ::-1]), inputs) < 3.5 * once
    twice = peak(lambda x: tf.concat([x, x], -1), inputs)
    assert twice >= 2 * inputs.numpy().nbytes
    assert peak(convolve, tf.ones([4, 128, 128, 16])) > 3.9 * output
