# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import Conv3DUnit
from mmv_tf.publishing.serving_weights import ServingWeights

CLIP = tf.random.stateless_uniform([1, 3, 8, 8, 4], [0, 0])
WORDS = tf.constant([[1, 2]])


def traced(layer, stored, inputs):
    weights = ServingWeights([layer], fold=True, dtype=stored)

    @tf.function(autograph=False)
    def call(inputs):
        with weights.scope():
            return layer(inputs)

    return weights, call.get_concrete_function(inputs)


def casts_of_weights(weights, function):
    """Casts of what is read from a variable of two axes and more."""
    shapes = {tuple(v.shape) for v in weights.variables if v.shape.rank > 1}
    return [o for o in function.graph.get_operations()
            if o.type == "Cast" and tuple(o.inputs[0].shape) in shapes]  # fmt: skip


@pytest.mark.parametrize(("stored", "casts"), [("bfloat16", 0), ("float32", 4)])
def test_what_is_stored_as_it_is_used_is_not_cast(stored, casts):
    keras.utils.set_random_seed(0)
    unit = Conv3DUnit(6, (3, 3, 3), separable=True, dtype="mixed_bfloat16")
    expected = unit(CLIP).numpy()
    weights, function = traced(unit, stored, CLIP)
    # The float32 form casts each of two kernels when it is read and when it is used.
    assert len(casts_of_weights(weights, function)) <= casts
    assert function(CLIP).dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(function(CLIP), tf.float32), expected.astype(np.float32), atol=0.02
    )


def test_rows_are_looked_up_before_they_are_cast():
    table = keras.layers.Embedding(50, 3)
    table.build()
    weights, function = traced(table, "bfloat16", WORDS)
    assert casts_of_weights(weights, function) == []
    assert function(WORDS).dtype == tf.float32
    np.testing.assert_allclose(function(WORDS), table(WORDS), rtol=1e-2)
