# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.deflation.measures import agreement, static_clips


def test_agreement_is_that_of_its_definition():
    features = np.array([[1.0, 0.0], [0.0, 2.0]])
    targets = np.array([[1.0, 1.0], [0.0, 1.0]])
    found = agreement(features, targets)
    assert found["l1"] == pytest.approx(0.5)
    assert found["cosine"] == pytest.approx((1 / np.sqrt(2) + 1) / 2)
    assert found["relative_error"] == pytest.approx(np.sqrt(2) / np.sqrt(3))


def test_every_frame_of_a_static_clip_is_the_image():
    images = np.random.default_rng(0).random((2, 3, 4, 3))
    clips = static_clips(tf.constant(images), 5).numpy()
    assert clips.shape == (2, 5, 3, 4, 3)
    for frame in range(5):
        np.testing.assert_array_equal(clips[:, frame], images)
