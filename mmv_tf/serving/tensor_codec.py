# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""gRPC's format: converts `PredictRequest` protos to tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from mmv_tf.serving.errors import bad_request
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.validation import check_names, check_shape

# Field of a proto that holds the values, by type.
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.string: "string_val",
}


def decode(message: Any, data: bytes) -> Any:
    """Parse bytes as a proto of the same class as `message`.

    Raises:
      RequestError: 400 if they are not such a proto.
    """
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise bad_request(f"The message is not a {type(message).__name__}.") from None
    return message


def to_arrays(
    request: predict_pb2.PredictRequest, signature: Signature, settings: ServerSettings
) -> dict[str, np.ndarray]:
    """Return the request's tensors by name.

    Raises:
      RequestError: names, types or shapes are invalid, or the values don't fill a shape.
    """
    check_names(signature, list(request.inputs))
    return {
        name: _to_array(name, signature.inputs[name], proto, settings)
        for name, proto in request.inputs.items()
    }


def _to_array(name: str, info: TensorInfo, proto: Any, settings: ServerSettings) -> np.ndarray:
    if proto.dtype != info.dtype.as_datatype_enum:
        raise bad_request(
            f"Input {name!r} has type number {proto.dtype}; expected {info.dtype.name}."
        )
    if proto.tensor_shape.unknown_rank:
        raise bad_request(f"Input {name!r} has no shape.")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    # A shape of a few bytes may claim any size, so it is checked first.
    check_shape(name, info, shape, settings)
    count = int(np.prod(shape, dtype=np.int64))
    field = _FIELDS.get(info.dtype)
    if proto.tensor_content and info.dtype != tf.string:
        expected, found = count * info.dtype.size, len(proto.tensor_content)
        if expected != found:
            raise bad_request(
                f"Input {name!r} of shape {shape} has {found} bytes; expected {expected}."
            )
    elif field is not None and len(getattr(proto, field)) not in (1, count):
        raise bad_request(
            f"Input {name!r} of shape {shape} has {len(getattr(proto, field))} values; expected "
            f"{count}."
        )
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise bad_request(f"Input {name!r} is not a tensor: {error}.") from error


def to_response(
    outputs: Mapping[str, np.ndarray], wanted: list[str], spec: Mapping[str, Any]
) -> predict_pb2.PredictResponse:
    """Return the answer with the requested outputs (all by default) and the model's identity.

    Args:
      outputs: arrays by name.
      wanted: the request's output filter.
      spec: "name", "signature_name" and "version".

    Raises:
      RequestError: a requested output does not exist.
    """
    unknown = sorted(set(wanted) - set(outputs))
    if unknown:
        raise bad_request(f"There is no output {unknown[0]!r}; available: {sorted(outputs)}.")
    response = predict_pb2.PredictResponse()
    response.model_spec.name = spec["name"]
    response.model_spec.signature_name = spec["signature_name"]
    response.model_spec.version.value = spec["version"]
    for name in wanted or outputs:
        response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
    return response
