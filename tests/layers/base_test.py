# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import pytest

from mmv_tf.layers import BatchNorm


@pytest.fixture
def settings():
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("floatx", ["float16", "float32", "float64"])
def test_a_policy_that_a_program_sets_is_taken_and_floatx_is_not(floatx, settings):
    keras.config.set_floatx(floatx)
    for policy, expected in ((floatx, "float32"), ("mixed_bfloat16", "mixed_bfloat16")):
        keras.config.set_dtype_policy(policy)
        assert BatchNorm().dtype_policy.name == expected
        assert BatchNorm(dtype="float16").dtype_policy.name == "float16"
