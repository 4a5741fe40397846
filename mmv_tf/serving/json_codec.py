# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's REST format: converts JSON to tensors and back.

A request is {"signature_name": NAME, "instances": [...]} with one item per row, or the same with
"inputs" and whole tensors. Bytes are {"b64": "..."}. The answer is {"predictions": [...]} to the
former and {"outputs": ...} to the latter; its strings are text, or {"b64": "..."} for an output
whose name ends in "_bytes".
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.serving.errors import TOO_LARGE, RequestError, bad_request
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.validation import check_names, check_shape

# Bytes of Python's objects: a list, a dict, a number in one; a string's two quotes.
_LIST_BYTES, _DICT_BYTES, _ITEM_BYTES, _QUOTE_BYTES = 96, 320, 36, 16
DEFAULT_SIGNATURE = "serving_default"
# Outputs with such a name hold bytes, not text: TensorFlow Serving's rule.
_BYTES_SUFFIX = "_bytes"


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A parsed request for a prediction.

    Attributes:
      signature: the requested signature.
      inputs: tensors by name.
      by_row: whether the request has "instances", so that the answer has "predictions".
    """

    signature: Signature
    inputs: dict[str, np.ndarray]
    by_row: bool


def estimate_bytes(body: bytes | bytearray) -> int:
    """Return the bytes that parsing a body may need, estimated from its punctuation."""
    return (
        len(body) * 2
        + body.count(b"[") * _LIST_BYTES
        + body.count(b"{") * _DICT_BYTES
        + (body.count(b",") + body.count(b":")) * _ITEM_BYTES
        + body.count(b'"') * _QUOTE_BYTES
    )


def parse_request(
    body: bytes | bytearray, signatures: Mapping[str, Signature], settings: ServerSettings
) -> PredictRequest:
    """Parse a request's body.

    Raises:
      RequestError: 400 if the body is not a valid request, 413 if it expands to too much.
    """
    estimate = estimate_bytes(body)
    if estimate > settings.max_json_bytes:
        raise RequestError(
            TOO_LARGE,
            f"Reading this JSON would need about {estimate} bytes; the limit is "
            f"{settings.max_json_bytes}. Send JPEG frames, or use gRPC.",
        )
    try:
        request = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise bad_request("The body is not UTF-8.") from None
    except RecursionError:
        raise bad_request("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}.") from None
    if not isinstance(request, dict):
        raise bad_request('The body must be a JSON object with "instances" or "inputs".')
    name = request.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(name, str) or name not in signatures:
        raise bad_request(f"There is no signature {name!r}; available: {sorted(signatures)}.")
    signature = signatures[name]
    if ("instances" in request) == ("inputs" in request):
        raise bad_request('Send either "instances" (rows) or "inputs" (whole tensors).')
    by_row = "instances" in request
    columns = (
        _columns_of_rows(signature, request.pop("instances"))
        if by_row
        else _columns(signature, request.pop("inputs"))
    )
    inputs = {
        key: to_array(key, signature.inputs[key], value, settings) for key, value in columns.items()
    }
    return PredictRequest(signature, inputs, by_row)


def _columns(signature: Signature, inputs: Any) -> dict[str, Any]:
    """Return whole tensors by name; a single input may be unnamed."""
    if isinstance(inputs, dict) and "b64" not in inputs:
        check_names(signature, list(inputs))
        return inputs
    return {_only_input(signature, '"inputs"'): inputs}


def _columns_of_rows(signature: Signature, rows: Any) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise bad_request('"instances" must be a list with at least one row.')
    named = [isinstance(row, dict) and "b64" not in row for row in rows]
    if not any(named):
        return {_only_input(signature, 'each row of "instances"'): rows}
    if not all(named):
        raise bad_request('All rows of "instances" must have the same form.')
    for row in rows:
        check_names(signature, list(row))
    return {name: [row[name] for row in rows] for name in signature.inputs}


def _only_input(signature: Signature, what: str) -> str:
    if len(signature.inputs) != 1:
        raise bad_request(
            f"{what} must be an object with the inputs {sorted(signature.inputs)} by name."
        )
    return next(iter(signature.inputs))


def to_array(name: str, info: TensorInfo, value: Any, settings: ServerSettings) -> np.ndarray:
    """Convert nested lists to an array of the declared rank and type.

    Raises:
      RequestError: the nesting is ragged or has another depth, a type differs, or it is too large.
    """
    shape: list[int] = []
    level = [value]
    for depth in range(len(info.shape)):
        if set(map(type, level)) != {list}:
            raise bad_request(
                f"Input {name!r} must be lists nested {len(info.shape)} deep, of equal length at "
                f"each depth; at depth {depth} not everything is a list."
            )
        lengths = set(map(len, level))
        if len(lengths) != 1:
            raise bad_request(
                f"Input {name!r} is ragged: lists at depth {depth} have lengths from "
                f"{min(lengths)} to {max(lengths)}."
            )
        shape.append(lengths.pop())
        level = list(itertools.chain.from_iterable(level))
        if not level:
            raise bad_request(f"Input {name!r} is empty: its shape begins with {shape}.")
    check_shape(name, info, shape, settings)
    flat = _strings(name, level) if info.dtype == tf.string else _numbers(name, level, info)
    return flat.reshape(shape)


def _numbers(name: str, values: list[Any], info: TensorInfo) -> np.ndarray:
    allowed = {int, float} if info.dtype.is_floating else {int}
    wrong = sorted(kind.__name__ for kind in set(map(type, values)) - allowed)
    if wrong:
        raise bad_request(f"Input {name!r} must hold {info.dtype.name} numbers; got {wrong}.")
    try:
        with np.errstate(over="ignore"):  # infinities get a message of their own
            return np.fromiter(values, info.dtype.as_numpy_dtype, len(values))
    except OverflowError:
        raise bad_request(
            f"Input {name!r} has a number outside the range of {info.dtype.name}."
        ) from None


def _strings(name: str, values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        try:
            if isinstance(value, str):
                array[index] = value.encode("utf-8")
            elif isinstance(value, dict) and list(value) == ["b64"]:
                array[index] = base64.b64decode(value["b64"], validate=True)
            else:
                raise bad_request(
                    f'Input {name!r} must hold strings or {{"b64": "..."}}; got '
                    f"{type(value).__name__}."
                )
        except (binascii.Error, ValueError, TypeError):
            raise bad_request(
                f"Input {name!r} has a string that is not UTF-8, or not base64."
            ) from None
    return array


def format_response(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """Return the body of a prediction, in the form of its request."""
    if by_row:
        if len(outputs) == 1:
            (rows,) = (_listed(name, value) for name, value in outputs.items())
        else:
            columns = {name: _listed(name, value) for name, value in sorted(outputs.items())}
            rows = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
        return json.dumps({"predictions": rows}).encode()
    whole = {name: _listed(name, value) for name, value in sorted(outputs.items())}
    return json.dumps({"outputs": whole if len(whole) > 1 else next(iter(whole.values()))}).encode()


def _listed(name: str, value: np.ndarray) -> list[Any]:
    """Return nested lists; strings are text unless the output's name ends in "_bytes"."""
    if value.dtype == object:
        flat = np.empty(value.size, dtype=object)
        for index, item in enumerate(value.flat):
            flat[index] = _text(item, name.endswith(_BYTES_SUFFIX))
        return flat.reshape(value.shape).tolist()
    return value.tolist()


def _text(item: bytes, coded: bool) -> str | dict[str, str]:
    if not coded:
        try:
            return item.decode()
        except UnicodeDecodeError:
            pass  # JSON has no other form for these bytes
    return {"b64": base64.b64encode(item).decode()}
