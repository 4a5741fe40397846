# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import tensorflow as tf

from mmv_tf.deflation.closed_form import rectified_least_squares


def loss(x, y, gamma, beta):
    return np.square(np.maximum(gamma * x + beta, 0) - y).mean(axis=0)


def test_it_finds_the_line_that_made_the_values():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 6)).astype(np.float32)
    gamma = generator.uniform(-2, 2, 6)
    beta = generator.normal(0, 0.5, 6)
    y = np.maximum(gamma * x + beta, 0).astype(np.float32)
    start = np.sign(gamma).astype(np.float32), np.zeros(6, np.float32)
    found = rectified_least_squares(tf.constant(x), tf.constant(y), start)
    np.testing.assert_allclose(found[0], gamma, atol=1e-3)
    np.testing.assert_allclose(found[1], beta, atol=1e-3)


def test_it_is_as_good_as_a_search_over_a_grid():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(400, 3)).astype(np.float32)
    noise = 0.3 * generator.normal(size=x.shape)
    y = np.maximum(1.3 * x - 0.2 + noise, 0).astype(np.float32)
    start = np.ones(3, np.float32), np.zeros(3, np.float32)
    found = rectified_least_squares(tf.constant(x), tf.constant(y), start)
    grid = [(g, b) for g in np.linspace(0.5, 2, 61) for b in np.linspace(-1, 1, 81)]
    best = np.min([loss(x, y, g, b) for g, b in grid], axis=0)
    assert (loss(x, y, *found) <= 1.01 * best).all()


def test_it_is_never_worse_than_the_start_and_leaves_dead_channels():
    generator = np.random.default_rng(2)
    x = np.concatenate([generator.normal(size=(300, 4)), np.ones((300, 1))], 1).astype(np.float32)
    y = generator.random((300, 5)).astype(np.float32)
    start = np.full(5, 0.7, np.float32), np.full(5, -9.0, np.float32)
    found = rectified_least_squares(tf.constant(x), tf.constant(y), start)
    assert (loss(x, y, *found) <= loss(x, y, *start) + 1e-6).all()
    np.testing.assert_array_equal([part[4] for part in found], [part[4] for part in start])
