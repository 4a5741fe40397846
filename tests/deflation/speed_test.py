# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.deflation.measures import count_multiplications
from mmv_tf.layers import Conv3DUnit
from tests.deflation.networks import foreign, images


def test_multiplications_are_those_of_the_definition():
    image = keras.Input((10, 12, 3))
    x = keras.layers.Conv2D(4, (3, 5), strides=2, padding="same")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(7)(x))
    function = tf.function(model).get_concrete_function(tf.TensorSpec([2, 10, 12, 3]))
    assert count_multiplications(function) == 2 * (5 * 6 * 4) * (3 * 5 * 3) + 2 * 4 * 7


def test_all_of_an_s3d_unit_is_counted():
    unit = Conv3DUnit(6, (3, 3, 3), separable=True, gating=True)
    function = tf.function(unit).get_concrete_function(tf.TensorSpec([1, 4, 8, 8, 5]))
    places = 4 * 8 * 8
    expected = places * 6 * (9 * 5) + places * 6 * (3 * 6) + 6 * 6
    assert count_multiplications(function) == expected


def test_what_cannot_be_counted_is_an_error():
    function = tf.function(lambda x: x @ x).get_concrete_function(tf.TensorSpec([None, None]))
    with pytest.raises(ValueError, match="unknown sizes"):
        count_multiplications(function)
    inner = tf.function(lambda x: x @ x)
    function = tf.function(lambda x: inner(x)).get_concrete_function(tf.TensorSpec([2, 2]))
    with pytest.raises(ValueError, match="can't be counted"):
        count_multiplications(function)


def test_it_times_both_on_the_same_images():
    model = foreign()
    image_model = deflation.deflate_naively(model)
    speed = deflation.measure_speed(model, image_model, images(2, size=24), 8, rounds=2)
    assert speed["image_seconds"] > 0
    assert speed["cpu_ratio"] > 0
    assert speed["ratio"] == pytest.approx(speed["clip_seconds"] / speed["image_seconds"])
    # Eight frames and kernels of three: between 8 and 24 times, for the gate less.
    assert 8 < speed["multiplications_ratio"] < 24
    assert (speed["num_frames"], speed["batch"]) == (8, 2)
    if "bytes_ratio" in speed:  # the clip's first map alone is eight images'
        assert speed["clip_bytes"] > 2 * 8 * 12 * 12 * 8 * 4
        assert 3 < speed["bytes_ratio"] == speed["clip_bytes"] / speed["image_bytes"]
