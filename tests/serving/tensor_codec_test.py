# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Protos that say one thing and hold another."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from mmv_tf.serving import tensor_codec
from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings

SIGNATURE = Signature(
    "both", {"x": TensorInfo(tf.float32, (None, 2)), "text": TensorInfo(tf.string, (None,))}, ("y",)
)
SETTINGS = ServerSettings("x", max_rows=100)


def request(**inputs):
    proto = predict_pb2.PredictRequest()
    values = {"x": np.zeros((3, 2), np.float32), "text": ["a", "b", "c"], **inputs}
    for name, value in values.items():
        if not isinstance(value, tensor_pb2.TensorProto):
            value = tf.make_tensor_proto(value)
        proto.inputs[name].CopyFrom(value)
    return proto


def proto(**changes):
    value = tf.make_tensor_proto(np.arange(6, dtype=np.float32).reshape(3, 2))
    for name, change in changes.items():
        if name == "shape":
            for dimension, size in zip(value.tensor_shape.dim, change, strict=True):
                dimension.size = size
        else:
            setattr(value, name, change)
    return value


def test_tensors_come_through_in_both_encodings():
    inputs = tensor_codec.to_arrays(request(x=proto()), SIGNATURE, SETTINGS)
    np.testing.assert_array_equal(inputs["x"], [[0, 1], [2, 3], [4, 5]])
    assert inputs["text"].tolist() == [b"a", b"b", b"c"]
    listed = tensor_pb2.TensorProto(dtype=tf.float32.as_datatype_enum, float_val=[1.5])
    listed.tensor_shape.CopyFrom(proto().tensor_shape)
    inputs = tensor_codec.to_arrays(request(x=listed), SIGNATURE, SETTINGS)
    np.testing.assert_array_equal(inputs["x"], np.full((3, 2), 1.5))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (proto(shape=(-1, 2)), "expected"),
        (proto(shape=(3, 3)), "expected"),
        (proto(shape=(4, 2)), "has 24 bytes; expected 32"),
        (proto(shape=(10**12, 2)), "rows"),
        (proto(tensor_content=b"abc"), "has 3 bytes"),
        (proto(tensor_content=b""), "has 0 values"),
        (proto(dtype=2), "float32"),
        (proto(dtype=99), "float32"),
        (tf.make_tensor_proto(np.zeros(2, np.float32)), "expected"),
        (tf.make_tensor_proto("text"), "float32"),
        (tensor_pb2.TensorProto(), "float32"),
    ],
)
def test_wrong_tensors_are_refused(value, message):
    with pytest.raises(RequestError, match=message) as error:
        tensor_codec.to_arrays(request(x=value), SIGNATURE, SETTINGS)
    assert error.value.status in (400, 413)


def test_wrong_messages_and_outputs_are_refused():
    with pytest.raises(RequestError, match="not a PredictRequest"):
        tensor_codec.decode(predict_pb2.PredictRequest(), b"\xff\xff")
    with pytest.raises(RequestError, match="has the inputs"):
        tensor_codec.to_arrays(request(more=[1]), SIGNATURE, SETTINGS)
    spec = {"name": "m", "signature_name": "both", "version": 3}
    outputs = {"a": np.ones(2, np.float32), "b": np.zeros(2, np.float32)}
    response = tensor_codec.to_response(outputs, ["b"], spec)
    assert list(response.outputs) == ["b"] and response.model_spec.version.value == 3
    with pytest.raises(RequestError, match="no output 'c'"):
        tensor_codec.to_response(outputs, ["c"], spec)
