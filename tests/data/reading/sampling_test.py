# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import tensorflow as tf

from mmv_tf.data.reading import sampling


def test_windows_are_spread_evenly_and_random_ones_stay_inside():
    starts = sampling.window_starts(tf.constant(20), span=5, windows=4, seed=None)
    np.testing.assert_array_equal(starts, [0, 5, 10, 15])
    one = sampling.window_starts(tf.constant(20), span=5, windows=1, seed=None)
    np.testing.assert_array_equal(one, [7])
    seed = tf.constant([1, 2])
    drawn = sampling.window_starts(tf.constant(20), span=5, windows=500, seed=seed).numpy()
    assert drawn.min() == 0 and drawn.max() == 15
    short = sampling.window_starts(tf.constant(3), span=5, windows=2, seed=seed)
    np.testing.assert_array_equal(short, [0, 0])
    np.testing.assert_array_equal(
        sampling.frame_indices(tf.constant(1), 4, 2, tf.constant(6)), [1, 3, 5, 5]
    )
    np.testing.assert_array_equal(
        sampling.frame_indices(tf.constant(0), 8, 1, tf.constant(3), loop=True),
        [0, 1, 2, 0, 1, 2, 0, 1],
    )


def test_candidates_are_the_nearest_in_time():
    starts, ends = tf.constant([0.0, 2.0, 4.0, 9.0]), tf.constant([1.0, 3.0, 5.0, 10.0])
    indices, found = sampling.nearest_candidates(tf.constant(4.0), starts, ends, 3)
    np.testing.assert_array_equal(indices, [2, 1, 0])
    assert found.numpy().all()
    own = tf.constant([True, False, False, True])
    indices, _ = sampling.nearest_candidates(tf.constant([4.0, 9.0]), starts, ends, 3, own)
    np.testing.assert_array_equal(indices, [[0, 3, 2], [3, 0, 2]])
    indices, found = sampling.nearest_candidates(tf.constant(0.0), starts[:1], ends[:1], 3)
    np.testing.assert_array_equal(found, [True, False, False])
    _, found = sampling.nearest_candidates(tf.constant(0.0), starts[:0], ends[:0], 2)
    assert not found.numpy().any()
