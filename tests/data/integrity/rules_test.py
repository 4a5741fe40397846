# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.integrity.rules import WRONG_TYPE, CheckFailed, Features, packed_floats


@pytest.mark.parametrize("count", [0, 1, 31, 32, 4_095, 4_096, 70_000])
def test_floats_are_read_as_the_parser_reads_them(count):
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    serialized = tf.train.FloatList(value=values).SerializeToString()
    expected = np.array(tf.train.FloatList.FromString(serialized).value, np.float32)
    np.testing.assert_array_equal(packed_floats(serialized), expected)


@pytest.fixture
def features():
    example = tf.train.SequenceExample()
    example.context.feature["one"].int64_list.value[:] = [7]
    example.context.feature["two"].int64_list.value[:] = [7, 8]
    example.context.feature["none"].SetInParent()
    for value in (1.0, 2.0):
        step = example.feature_lists.feature_list["steps"].feature.add()
        step.float_list.value[:] = [value] * 3
    return Features(example)


def test_features_by_name_and_type(features):
    assert features.has("steps") and not features.has("other")
    assert features.number("one", "int64_list") == 7
    assert features.number("none", "int64_list") is features.number("other", "int64_list") is None
    np.testing.assert_array_equal(features.floats("steps"), [[1.0] * 3, [2.0] * 3])
    assert features.either("steps", "float_list", lists=True) == [1.0] * 3 + [2.0] * 3
    assert features.either("two", "int64_list", lists=False) == [7, 8]


@pytest.mark.parametrize(("key", "kind"), [("one", "bytes_list"), ("two", "int64_list")])
def test_a_value_of_another_type_or_number_is_told(features, key, kind):
    with pytest.raises(CheckFailed) as wrong:
        features.number(key, kind)
    assert wrong.value.problem.reason == WRONG_TYPE
    assert wrong.value.problem.detail.startswith(f"{key} ")
