# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.reading import pixels
from tests import records


@pytest.mark.parametrize("left", [0, 1, 16, 23])
@pytest.mark.parametrize("count", [3, 170])
def test_a_window_is_that_of_the_whole_frames(left, count):
    """Colors at the border are smoothed without pixels outside the window."""
    encoded = tf.constant([records.jpeg(5 * n % 200, 48, 64) for n in range(3)])
    encoded = tf.gather(encoded, tf.range(count) % 3)
    encoded = tf.ensure_shape(encoded, [count])
    window = pixels.decode_window(encoded, tf.constant([5, left, 40, 37]))
    assert window.shape == (count, 40, 37, 3) and window.dtype == tf.uint8
    for found, jpeg in zip(window.numpy()[:3], encoded.numpy()[:3], strict=True):
        whole = tf.io.decode_jpeg(jpeg, channels=3).numpy()[5:45, left : left + 37]
        difference = np.abs(found.astype(int) - whole)
        assert difference[2:-2, 2:-2].max() == 0 and difference.max() < 16
