# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest

from mmv_tf import deflation
from mmv_tf.deflation.speed import count_multiplications
from tests.deflation.networks import foreign, images


def test_multiplications_are_those_of_the_definition():
    image = keras.Input((10, 12, 3))
    x = keras.layers.Conv2D(4, (3, 5), strides=2, padding="same")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(7)(x))
    batch = np.zeros([2, 10, 12, 3], np.float32)
    found = count_multiplications(model, lambda: model(batch))
    assert found == 2 * (5 * 6 * 4) * (3 * 5 * 3) + 2 * 4 * 7


def test_it_times_both_on_the_same_images():
    model = foreign()
    image_model = deflation.deflate(model)
    speed = deflation.measure_speed(model, image_model, images(2, size=24), 8, rounds=2)
    assert speed["image_seconds"] > 0
    assert speed["ratio"] == pytest.approx(speed["clip_seconds"] / speed["image_seconds"])
    # Eight frames and kernels of three: between 8 and 24 times, for the gate less.
    assert 8 < speed["multiplications_ratio"] < 24
    assert (speed["num_frames"], speed["batch"]) == (8, 2)
