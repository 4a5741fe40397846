# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.deflation import winograd
from mmv_tf.deflation.simplify import speed_up_convolutions
from tests.deflation.networks import stir

layers = keras.layers


def convolve(inputs, kernel, bias):
    """By the definition, in float64."""
    height, width = inputs.shape[1:3]
    padded = np.pad(inputs.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    taps = [
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    ]
    return sum(taps) + bias


def pair(channels=5, filters=7, **arguments):
    layer = layers.Conv2D(filters, 3, padding="same", **arguments)
    layer.build((None, None, None, channels))
    keras.utils.set_random_seed(0)
    layer.set_weights([np.random.normal(size=w.shape) for w in layer.weights])
    return layer, winograd.of_convolution(layer)


def pixels(shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(2, 28, 28, 5), (1, 25, 38, 5), (3, 31, 29, 5), (2, 9, 7, 5)])
@pytest.mark.parametrize("known", ["all", "sizes", "nothing"])
def test_it_is_the_convolution(shape, known):
    layer, fast = pair()
    inputs = pixels(shape)
    expected = convolve(inputs, *layer.get_weights())
    sizes = (None, None) if known == "nothing" else shape[1:3]
    spec = tf.TensorSpec([shape[0] if known == "all" else None, *sizes, 5], tf.float32)
    function = tf.function(fast, input_signature=[spec], autograph=False).get_concrete_function()
    found = function(inputs)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    kinds = {operation.type for operation in function.graph.get_operations()}
    large = shape[1] * shape[2] >= 28 * 28 and known != "nothing"
    assert ("Conv2D" not in kinds) == large


def test_without_bias():
    layer, fast = pair(use_bias=False)
    inputs = pixels((1, 30, 30, 5))
    expected = convolve(inputs, *layer.get_weights(), bias=0.0)
    np.testing.assert_allclose(fast(inputs), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("filters", "arguments"),
    [
        (63, {}),
        (64, {"strides": 2}),
        (64, {"dilation_rate": 2}),
        (64, {"padding": "valid"}),
        (64, {"groups": 2}),
        (64, {"activation": "relu"}),
        (64, {"dtype": "mixed_bfloat16"}),
        (64, {"kernel_size": 5}),
    ],
)
def test_where_it_does_not_suit_or_is_another_convolution(filters, arguments):
    def built(filters, **changes):
        layer = layers.Conv2D(filters, **{"kernel_size": 3, "padding": "same", **changes})
        layer.build((None, None, None, 64))
        return layer

    assert winograd.suits(built(64))
    assert not winograd.suits(built(filters, **arguments))


def test_it_takes_the_place_of_convolutions_and_is_saved(tmp_path):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(64, 3, padding="same")(image)  # of three channels: stays
    x = layers.Conv2D(64, 3, padding="same")(layers.ReLU()(x))
    twice = layers.Conv2D(64, 3, padding="same")  # used twice: stays
    model = stir(keras.Model(image, twice(twice(x))))
    fast = speed_up_convolutions(model)
    kinds = [type(layer).__name__ for layer in fast.layers[1:]]
    assert kinds == ["Conv2D", "ReLU", "WinogradConvolution", "Conv2D"]
    inputs = pixels((2, 29, 33, 3))
    expected = model(inputs)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(fast(inputs), expected, atol=1e-5 * scale)
    fast.save(tmp_path / "fast.keras")
    loaded = keras.saving.load_model(tmp_path / "fast.keras")
    np.testing.assert_array_equal(loaded(inputs), fast(inputs))
    none = keras.Model(image, layers.Conv2D(4, 1)(image))
    assert speed_up_convolutions(none) is none
