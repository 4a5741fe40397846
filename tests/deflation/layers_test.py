# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest

from mmv_tf.deflation.layers import ChannelPermutation, EvenSize
from tests.deflation.networks import images


@pytest.mark.parametrize("size", [5, 6])
def test_even_size_repeats_the_last_row_and_then_pads(size):
    batch = images(2, size=size)
    layer = EvenSize(((1, 2), (0, 3)))
    even = np.pad(batch, [(0, 0), (0, size % 2), (0, size % 2), (0, 0)], mode="edge")
    expected = np.pad(even, [(0, 0), (1, 2), (0, 3), (0, 0)])
    np.testing.assert_array_equal(layer(batch), expected)
    assert layer.compute_output_shape(batch.shape) == expected.shape


def test_channel_permutation():
    layer = ChannelPermutation([2, 0, 1], [1.0, 2.0, 0.5])
    np.testing.assert_allclose(layer(np.array([[1.0, 10.0, 100.0]])), [[100.0, 2.0, 5.0]])
    assert ChannelPermutation.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="each channel's index exactly once"):
        ChannelPermutation([0, 0, 1])


def test_they_are_saved(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, ChannelPermutation([2, 0, 1])(EvenSize([(0, 1), (1, 0)])(image)))
    model.save(tmp_path / "model.keras")
    batch = images(1, size=7)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch), model(batch))
