# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests and answers, as TensorFlow Serving's REST interface has them."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.serving import json_codec
from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings

SIGNATURES = {
    "one": Signature("one", {"x": TensorInfo(tf.float32, (None, 2))}, ("y",)),
    "two": Signature(
        "two", {"x": TensorInfo(tf.float32, (None,)), "n": TensorInfo(tf.int32, (None,))}, ("y",)
    ),
    "words": Signature("words", {"text": TensorInfo(tf.string, (None,))}, ("y",)),
}
SETTINGS = ServerSettings("x", max_json_bytes=1 << 20, max_rows=8, max_input_bytes=1 << 10)


def parse(request, signature="one"):
    if isinstance(request, dict):
        request = json.dumps({"signature_name": signature, **request}).encode()
    return json_codec.parse_request(request, SIGNATURES, SETTINGS)


def test_rows_and_columns_give_the_same_tensors():
    for request in (
        {"instances": [[1, 2], [3, 4.5]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]},
        {"inputs": [[1, 2], [3, 4.5]]},
        {"inputs": {"x": [[1, 2], [3, 4.5]]}},
    ):
        parsed = parse(request)
        np.testing.assert_array_equal(parsed.inputs["x"], [[1, 2], [3, 4.5]])
        assert parsed.inputs["x"].dtype == np.float32
        assert parsed.by_row == ("instances" in request)
    for request in (
        {"instances": [{"x": 1, "n": 2}, {"n": 4, "x": 3}]},
        {"inputs": {"x": [1, 3], "n": [2, 4]}},
    ):
        inputs = parse(request, "two").inputs
        np.testing.assert_array_equal(inputs["x"], [1, 3])
        np.testing.assert_array_equal(inputs["n"], [2, 4])


def test_strings_are_text_or_base64():
    coded = {"b64": base64.b64encode(b"\x00\xff").decode()}
    for request in ({"instances": ["é", coded]}, {"inputs": ["é", coded]}):
        assert parse(request, "words").inputs["text"].tolist() == ["é".encode(), b"\x00\xff"]


@pytest.mark.parametrize(
    ("request_", "signature", "message"),
    [
        (b"\xff\xfe", "one", "UTF-8"),
        (b"[1", "one", "not JSON"),
        (b"[]", "one", "JSON object"),
        (b"[" * 5000, "one", "too deeply"),
        ({"instances": [[1, 2]]}, "none", "no signature 'none'"),
        ({}, "one", "either"),
        ({"instances": 1, "inputs": 1}, "one", "either"),
        ({"instances": []}, "one", "at least one row"),
        ({"instances": [[1, 2], {"x": [1, 2]}]}, "one", "the same form"),
        ({"instances": [1]}, "two", "by name"),
        ({"inputs": {"y": [[1, 2]]}}, "one", "has the inputs"),
        ({"instances": [[1, 2], [3]]}, "one", "ragged"),
        ({"instances": [1, 2]}, "one", "nested 2 deep"),
        ({"instances": [[]]}, "one", "is empty"),
        ({"instances": [[1, 2, 3]]}, "one", r"expected \[-1, 2\]"),
        ({"instances": [["1", True]]}, "one", r"got \['bool', 'str'\]"),
        ({"instances": [[None, 1]]}, "one", "NoneType"),
        ({"instances": [[10**400, 1]]}, "one", "outside the range of float32"),
        ({"inputs": {"x": [1], "n": [1.5]}}, "two", "int32 numbers"),
        ({"inputs": {"x": [1], "n": [2**40]}}, "two", "outside the range of int32"),
        ({"instances": [{"b64": "!"}]}, "words", "base64"),
        ({"instances": [{"b64": 3}]}, "words", "base64"),
        ({"instances": ["\ud800"]}, "words", "UTF-8"),
        ({"instances": [3]}, "words", "must hold strings"),
    ],
)
def test_mistakes_are_named(request_, signature, message):
    with pytest.raises(RequestError, match=message) as error:
        parse(request_, signature)
    assert error.value.status == 400


def test_what_is_too_large_is_refused_before_it_is_read():
    for body in (b"[" * 20_000, b"{" * 4000, b"0," * 30_000):
        with pytest.raises(RequestError, match="JSON would need") as error:
            parse(body)
        assert error.value.status == 413
    with pytest.raises(RequestError, match="9 rows") as error:
        parse({"instances": ["a"] * 9}, "words")
    assert error.value.status == 413


def test_the_estimate_is_above_what_python_takes():
    import tracemalloc

    for body in (
        json.dumps([[[0.123456] * 3] * 50] * 50),
        json.dumps([[]] * 5000),
        json.dumps([{"a": 1}] * 3000),
        json.dumps(["word"] * 5000),
        json.dumps(list(range(5000))),
    ):
        data = body.encode()
        tracemalloc.start()
        kept = json.loads(data.decode())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept and peak <= json_codec.estimate_bytes(data)


def test_answers_have_the_form_of_their_request():
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([5.0, 6.0], np.float32)

    def read(outputs, by_row):
        return json.loads(json_codec.format_response(outputs, by_row))

    assert read({"a": a}, True) == {"predictions": [[1, 2], [3, 4]]}
    assert read({"a": a}, False) == {"outputs": [[1, 2], [3, 4]]}
    rows = [{"a": [1, 2], "b": 5}, {"a": [3, 4], "b": 6}]
    assert read({"a": a, "b": b}, True) == {"predictions": rows}
    assert read({"a": a, "b": b}, False) == {"outputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}}
    text = np.array([b"\x00"], dtype=object)
    assert read({"a_bytes": text}, True) == {"predictions": [{"b64": "AA=="}]}
    words = np.array([["d\u00e9".encode(), b"\xff"]], dtype=object)
    rows = [{"a": 5, "words": ["d\u00e9", {"b64": "/w=="}]}]
    assert read({"a": b[:1], "words": words}, True) == {"predictions": rows}
