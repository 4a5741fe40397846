# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is told from a request's tensors before the network runs."""

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.publishing.samples import encode_jpeg
from mmv_tf.serving.errors import RequestError, from_tensorflow
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.validation import check_inputs, held_bytes
from tests.serving.mutations import jpeg_bomb

SETTINGS = ServerSettings("x", max_rows=4, max_input_bytes=1000)
JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8))
LIMITS = {
    "x": {"minimum": -1.0, "maximum": 1.0, "least_shape": [1, 2]},
    "text": {"least_bytes": 1, "most_bytes": 5},
    "frames": {"encoding": "jpeg", "most_pixels": 100, "element_bytes": 200},
}


def check(name, value, dtype=tf.float32, rank=2):
    signature = Signature("s", {name: TensorInfo(dtype, (None,) * rank, LIMITS[name])}, ("y",))
    return check_inputs(signature, {name: value}, SETTINGS)


def strings(*values):
    return np.array(values, dtype=object)


def test_right_inputs_are_measured():
    assert check("x", np.zeros((3, 5), np.float32)) == (3, 60)
    assert check("x", np.full((1, 2), 1.0005, np.float32)) == (1, 8)  # rounding is forgiven
    assert check("text", strings(b"a", b"bcdef"), tf.string, 1) == (2, 16)
    assert check("frames", strings(JPEG, JPEG)[np.newaxis], tf.string) == (1, 400)
    assert held_bytes({"a": np.zeros(3, np.float32), "b": strings(b"ab", b"c")}) == 15


@pytest.mark.parametrize(
    ("name", "value", "status", "message"),
    [
        ("x", np.zeros((1, 1), np.float32), 400, "at least"),
        ("x", np.zeros((5, 2), np.float32), 413, "5 rows"),
        ("x", np.zeros((4, 90), np.float32), 413, "1440 bytes"),
        ("x", np.array([[0, np.nan]], np.float32), 400, "not finite"),
        ("x", np.array([[0, -np.inf]], np.float32), 400, "not finite"),
        ("x", np.array([[0, 2]], np.float32), 400, "from 0 to 2"),
        ("x", np.zeros((1, 2, 1), np.float32), 400, "expected"),
        ("text", strings(b" "), 400, "empty"),
        ("text", strings(b"abcdef"), 400, "6 bytes"),
        ("frames", strings(JPEG[:40]), 400, "not a JPEG"),
        ("frames", strings(b""), 400, "not a JPEG"),
        ("frames", strings(jpeg_bomb(11, 10)), 400, "11 x 10"),
        ("frames", strings(jpeg_bomb(65_000, 65_000)), 400, "pixels"),
        ("frames", strings(*[JPEG] * 4), 400, "expected"),
    ],
)
def test_wrong_inputs_are_named(name, value, status, message):
    dtype, rank = (tf.float32, 2) if name == "x" else (tf.string, 1)
    if name == "frames" and len(value) == 4:
        rank = 2
    with pytest.raises(RequestError, match=message) as error:
        check(name, value, dtype, rank)
    assert error.value.status == status


def test_inputs_must_agree():
    info = TensorInfo(tf.float32, (None,))
    signature = Signature("s", {"a": info, "b": info}, ("y",))
    one, two = np.zeros(1, np.float32), np.zeros(2, np.float32)
    with pytest.raises(RequestError, match="different numbers of rows"):
        check_inputs(signature, {"a": one, "b": two}, SETTINGS)
    with pytest.raises(RequestError, match="has the inputs"):
        check_inputs(signature, {"a": one}, SETTINGS)


def test_the_graphs_errors_are_the_clients_or_ours():
    text = "Graph execution error:\n\nDetected at node a\n<stack traces unavailable>\n{}\n\t [[a]]"
    for error, status, message in (
        ("assertion failed: [too long] [3]", 400, "rejected the input: [too long] [3]"),
        ("Invalid JPEG data, size 3", 400, "rejected the input: Invalid JPEG data, size 3"),
    ):
        found = from_tensorflow(tf.errors.InvalidArgumentError(None, None, text.format(error)))
        assert found.status == status and found.message.endswith(message)
    assert from_tensorflow(tf.errors.ResourceExhaustedError(None, None, "")).status == 503
    assert from_tensorflow(MemoryError()).status == 503
    assert from_tensorflow(tf.errors.InternalError(None, None, "secret")).message.endswith(
        "InternalError."
    )
    assert len(RequestError(400, "x" * 10_000).message) < 600
