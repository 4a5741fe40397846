# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows that lack a modality are as if they were not there."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.losses import Objective
from mmv_tf.training.forward import embed_batch
from tests.training import linear_world

ROWS = 4


def results(batch, fixed_shapes):
    """Loss, gradients and batch statistics of a new network."""
    keras.utils.set_random_seed(0)
    model, objective = linear_world.fine_and_coarse(), Objective({"va": 1.0, "vt": 1.0})

    @tf.function(autograph=False)
    def step(batch):
        with tf.GradientTape() as tape:
            embeddings, valid = embed_batch(model, objective, batch, True, fixed_shapes)
            loss, _, counts = objective(embeddings, valid)
        weights = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        return loss, gradients, counts

    loss, gradients, counts = step(batch)
    moving = [v.numpy() for v in model.non_trainable_variables if v.name.startswith("moving")]
    found = [loss.numpy(), *(tf.convert_to_tensor(g).numpy() for g in gradients), *moving]
    return found, {pair: int(count) for pair, count in counts.items()}


def batch(rows=ROWS):
    values = linear_world.examples(frames=(2, 2, 2, 3), clips=rows)
    del values["example_id"]
    return {name: tf.constant(value) for name, value in values.items()}


def with_empty_rows(values, fill):
    """Adds two rows that have no modality, but something in its place."""
    more = {}
    for name, value in values.items():
        rows = tf.zeros_like(value[:2])
        if value.dtype.is_floating:
            rows += fill
        more[name] = tf.concat([value, rows], axis=0)
    return more


@pytest.mark.parametrize(
    ("fixed_shapes", "fill"), [(False, float("nan")), (True, 7.0)], ids=["left out", "masked"]
)
def test_rows_without_a_modality_change_nothing(fixed_shapes, fill):
    values = batch()
    expected, counts = results(values, fixed_shapes)
    found, same_counts = results(with_empty_rows(values, fill), fixed_shapes)
    assert counts == same_counts
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_a_batch_without_any_picture_moves_no_statistic(fixed_shapes):
    values = batch()
    values["valid/video"] = tf.zeros([ROWS], tf.bool)
    found, counts = results(values, fixed_shapes)
    assert counts == {"va": 0, "vt": 0}
    assert all(np.isfinite(value).all() for value in found)
    model = linear_world.fine_and_coarse()
    still = [v.numpy() for v in model.non_trainable_variables if v.name.startswith("moving")]
    for one, other in zip(still, found[-len(still) :], strict=True):
        np.testing.assert_array_equal(one, other)
