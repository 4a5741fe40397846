# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import ProjectionHead


def bn(x, norm):
    mean, variance, gamma, beta = (
        w.numpy() for w in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def oracle(x, head):
    if head.input_batch_norm is not None:
        x = bn(x, head.input_batch_norm)
    if head.activation:
        x = np.maximum(x, 0)
    if head.hidden:
        x = x @ head.inner.kernel.numpy() + head.inner.bias.numpy()
        x = np.maximum(bn(x, head.inner_batch_norm), 0)
    x = x @ head.projection.kernel.numpy()
    if head.projection.use_bias:
        x = x + head.projection.bias.numpy()
    return bn(x, head.output_batch_norm) if head.output_norm else x


@pytest.mark.parametrize("hidden", [None, 7])
@pytest.mark.parametrize("activation", [None, "relu", "bnrelu"])
@pytest.mark.parametrize("output_norm", [False, True])
def test_matches_the_oracle(hidden, activation, output_norm):
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 5)).astype(np.float32)
    head = ProjectionHead(4, hidden=hidden, activation=activation, output_norm=output_norm)
    head.build((None, 5))
    for weight in head.weights:
        weight.assign(0.5 + random.random(weight.shape))
    np.testing.assert_allclose(head(x), oracle(x, head), rtol=1e-4, atol=1e-4)


def test_the_last_linear_map_has_a_bias_unless_a_hidden_layer_and_a_norm_surround_it():
    assert ProjectionHead(4, output_norm=True).projection.use_bias
    assert ProjectionHead(4, hidden=4).projection.use_bias
    assert not ProjectionHead(4, hidden=4, output_norm=True).projection.use_bias


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        ProjectionHead(4, activation="gelu")
