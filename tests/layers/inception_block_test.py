# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.layers import InceptionBlock
from tests.layers.conv3d_unit_test import oracle as unit_oracle
from tests.pretrained.numpy_reference import max_pool


def test_matches_the_oracle():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    block = InceptionBlock((4, 3, 5, 2, 3, 4))
    outputs = block(x)
    branches = [
        unit_oracle(x, block.branch_0),
        unit_oracle(unit_oracle(x, block.branch_1_reduce), block.branch_1),
        unit_oracle(unit_oracle(x, block.branch_2_reduce), block.branch_2),
        unit_oracle(max_pool(x, (3, 3, 3), (1, 1, 1)), block.branch_3),
    ]
    np.testing.assert_allclose(outputs, np.concatenate(branches, -1), rtol=1e-3, atol=1e-4)
    assert block.output_channels == 4 + 5 + 3 + 4


def test_pooling_keeps_the_compute_dtype():
    block = InceptionBlock((4, 3, 5, 2, 3, 4), dtype="mixed_bfloat16")
    assert block.pool(tf.ones([1, 2, 2, 2, 3], tf.bfloat16)).dtype == tf.bfloat16


def test_six_channel_counts():
    with pytest.raises(ValueError, match="6 channel counts"):
        InceptionBlock((1, 2, 3))
