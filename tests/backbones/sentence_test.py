# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.backbones import Sentence

IDS = np.array([[3, 1, 4, 0, 0], [2, 0, 0, 0, 0]], np.int32)
EMPTY = np.zeros([1, 5], np.int32)


def make(**arguments):
    layer = Sentence(6, 4, 7, **arguments)
    layer.build()
    layer.projection.bias.assign(np.linspace(-1, 1, 7))
    layer.set_embeddings(np.random.default_rng(0).normal(size=(6, 4)))
    return layer


def oracle(layer, ids, mask):
    table, kernel = layer.embedding.embeddings.numpy(), layer.projection.kernel.numpy()
    rows = []
    for sentence in ids:
        words = [word for word in sentence if word or not mask]
        values = [np.maximum(table[w] @ kernel + layer.projection.bias.numpy(), 0) for w in words]
        rows.append(np.max(values, axis=0) if values else np.zeros(7))
    return np.stack(rows)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("ids", [IDS, EMPTY])
def test_matches_the_oracle(mask, ids):
    layer = make(mask_padding=mask)
    np.testing.assert_allclose(layer(ids), oracle(layer, ids, mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trainable", [False, True])
def test_word_vectors_learn_only_when_asked(trainable):
    layer = make(trainable_embedding=trainable)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(IDS))
    gradient = tape.gradient(loss, layer.embedding.embeddings.value)
    assert (gradient is not None) == trainable
    assert len(layer.trainable_weights) == (3 if trainable else 2)


@pytest.mark.parametrize("vectors", [np.zeros([6, 5]), np.zeros([5, 4]), np.full([6, 4], np.nan)])
def test_wrong_vectors_are_refused(vectors):
    with pytest.raises(ValueError, match=r"have shape|not finite"):
        make().set_embeddings(vectors)
