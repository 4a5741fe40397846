# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.deflation.measures import static_clips
from mmv_tf.deflation.registry import frames_after, tap_weights
from tests.deflation.networks import images

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "deflation.md"


def test_the_documented_example_of_a_rule():
    """The code that docs/deflation.md shows, run as it stands."""
    (example,) = re.findall(r"```python\n(# A rule.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 40
    names: dict = {}
    exec(compile(example, str(DOCS), "exec"), names)
    batch = images(3, size=32)
    expected = names["video_network"](static_clips(tf.constant(batch), 8))
    np.testing.assert_allclose(names["image_network"](batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 1), (3, 1), (3, 2), (7, 2)])
def test_tap_weights_are_those_of_tensorflows_padding(frames, size, stride):
    """A clip of ones through the kernel that is one at one tap, averaged over time."""
    ones = tf.ones([1, frames, 1, 1, 1])
    for tap, weight in enumerate(tap_weights(frames, size, stride, "same")):
        kernel = tf.reshape(tf.one_hot(tap, size), [size, 1, 1, 1, 1])
        outputs = tf.nn.conv3d(ones, kernel, [1, stride, 1, 1, 1], "SAME")
        assert weight == pytest.approx(float(tf.reduce_mean(outputs)))
        assert frames_after(frames, size, stride, "same") == outputs.shape[1]


def test_valid_padding_meets_frames_only():
    np.testing.assert_array_equal(tap_weights(8, 3, 1, "valid"), np.ones(3))
    assert frames_after(8, 3, 2, "valid") == 3
    assert frames_after(None, 3, 2, "same") is None


def test_a_layer_used_twice_is_one_layer_in_the_image_network():
    from mmv_tf.deflation import deflate_naively

    shared = keras.layers.Conv3D(3, 3, padding="valid")
    clip = keras.Input((8, 16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling3D()(shared(shared(clip)))
    model = keras.Model(clip, pooled)
    image_model = deflate_naively(model)
    assert len(image_model.weights) == len(model.weights) == 2
    batch = images(2, size=16)
    expected = model(static_clips(tf.constant(batch), 8))
    np.testing.assert_allclose(image_model(batch), expected, rtol=1e-4, atol=1e-5)
