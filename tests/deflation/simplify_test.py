# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np

from mmv_tf.deflation.layers import ChannelPermutation
from mmv_tf.deflation.simplify import fold_linear, fold_norms, norm_map
from mmv_tf.layers import BatchNorm
from tests.deflation.networks import images, stir

layers = keras.layers


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def assert_same(first, second, size=16):
    batch = images(3, size=size)
    expected = np.asarray(first(batch))
    found = np.asarray(second(batch))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def build(steps):
    image = x = keras.Input((None, None, 3))
    for step in steps:
        x = step(x)
    return stir(keras.Model(image, x))


def test_point_convolutions_go_into_the_kernel_before():
    model = build(
        [
            layers.Conv2D(4, 3, padding="same", strides=2),
            layers.Conv2D(5, 1, use_bias=False),
            layers.Conv2D(6, 1, activation="relu"),
        ]
    )
    folded = fold_linear(model)
    assert kinds(folded) == ["Conv2D"]
    assert_same(model, folded)


def test_what_stands_between_keeps_them_apart():
    model = build([layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(5, 1)])
    assert fold_linear(model) is model
    strided = build([layers.Conv2D(4, 3), layers.Conv2D(5, 1, strides=2)])
    assert fold_linear(strided) is strided


def test_a_convolution_that_feeds_two_layers_stays():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(image)
    model = keras.Model(image, layers.Add()([x, layers.Conv2D(4, 1)(x)]))
    assert fold_linear(model) is model


def test_orders_of_channels_go_into_the_kernel_behind():
    order, scale = [3, 1, 0, 2], [0.5, 1.0, 1.0, 2.0]
    model = build(
        [layers.Conv2D(4, 1), layers.ReLU(), ChannelPermutation(order, scale), layers.Conv2D(2, 3)]
    )
    folded = fold_linear(model)
    assert kinds(folded) == ["Conv2D", "ReLU", "Conv2D"]
    assert_same(model, folded)
    kept = build([layers.Conv2D(4, 1), ChannelPermutation(order), layers.ReLU()])
    assert fold_linear(kept) is kept


def test_batch_norms_go_into_convolutions_and_dense_layers():
    model = build(
        [
            layers.Conv2D(4, 3, use_bias=False),
            BatchNorm(),
            layers.ReLU(),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(scale=False),
            layers.GlobalAveragePooling2D(),
            BatchNorm(),
            layers.Dense(3),
            BatchNorm(),
        ]
    )
    folded = fold_norms(model)
    assert kinds(folded) == [
        *("Conv2D", "ReLU", "Conv2D", "GlobalAveragePooling2D"),
        *("BatchNorm", "Dense"),  # nothing linear stands before this batch norm
    ]
    assert_same(model, folded)


def test_the_map_of_a_batch_norm():
    norm = BatchNorm(epsilon=0.1)
    norm.build((None, 2))
    norm.set_weights([np.array([2.0, 3.0]), np.array([1.0, 0.0]), np.ones(2), np.full(2, 0.9)])
    scale, offset = norm_map(norm)
    np.testing.assert_allclose(scale, [2.0, 3.0])
    np.testing.assert_allclose(offset, [-1.0, -3.0])
