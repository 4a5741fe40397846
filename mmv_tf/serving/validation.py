# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks a request's tensors against a signature, before the model runs.

An error that is found here can't fail the other requests of a batch.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from mmv_tf.publishing.checks import RANGE_TOLERANCE
from mmv_tf.serving.errors import TOO_LARGE, RequestError, bad_request
from mmv_tf.serving.servable import Signature, TensorInfo
from mmv_tf.serving.settings import ServerSettings


def check_names(signature: Signature, names: Sequence[str]) -> None:
    """Raise a `RequestError` unless these are the signature's inputs."""
    if sorted(names) != sorted(signature.inputs):
        raise bad_request(
            f"Signature {signature.name!r} has the inputs {sorted(signature.inputs)}; got "
            f"{sorted(names)}."
        )


def check_shape(name: str, info: TensorInfo, shape: Sequence[int], settings: ServerSettings) -> int:
    """Check a shape against the declared shape and the limits, before a tensor is created.

    Returns:
      The number of bytes to count for the tensor.

    Raises:
      RequestError: 400 if the shape does not match, 413 if it is too large.
    """
    declared = list(info.shape)
    shown = str([-1 if size is None else size for size in declared])
    if len(shape) != len(declared):
        raise bad_request(f"Input {name!r} has shape {list(shape)}; expected {shown}.")
    least = info.limits.get("least_shape") or [1] * len(declared)
    for size, wanted, smallest in zip(shape, declared, least, strict=True):
        if size < 0 or (wanted is not None and size != wanted):
            raise bad_request(f"Input {name!r} has shape {list(shape)}; expected {shown}.")
        if size < smallest:
            raise bad_request(
                f"Input {name!r} has shape {list(shape)}; each size must be at least {list(least)}."
            )
    if shape and shape[0] > settings.max_rows:
        raise RequestError(
            TOO_LARGE,
            f"Input {name!r} has {shape[0]} rows; one request may have at most "
            f"{settings.max_rows}.",
        )
    element = info.limits.get("element_bytes") or (
        8 if info.dtype == tf.string else info.dtype.size
    )
    size = math.prod(shape) * element
    if size > settings.max_input_bytes:
        raise RequestError(
            TOO_LARGE,
            f"Input {name!r} of shape {list(shape)} needs {size} bytes; one request may use "
            f"at most {settings.max_input_bytes}.",
        )
    return size


def check_inputs(
    signature: Signature, inputs: Mapping[str, np.ndarray], settings: ServerSettings
) -> tuple[int, int]:
    """Check tensors against a signature and its contract.

    Returns:
      The number of rows, equal for all tensors, and the number of bytes to count for them.

    Raises:
      RequestError: 400 or 413, with the reason.
    """
    check_names(signature, list(inputs))
    size = 0
    for name, value in inputs.items():
        info = signature.inputs[name]
        size += check_shape(name, info, value.shape, settings)
        if value.dtype == object:
            _check_strings(name, info.limits, value)
        elif value.dtype.kind == "f":
            _check_range(name, info.limits, value)
    rows = {value.shape[0] for value in inputs.values()}
    if len(rows) != 1:
        raise bad_request(f"The inputs have different numbers of rows: {sorted(rows)}.")
    return rows.pop(), size


def held_bytes(inputs: Mapping[str, np.ndarray]) -> int:
    """Return the bytes that tensors hold in memory, strings included."""
    return sum(
        sum(map(len, value.flat)) if value.dtype == object else value.nbytes
        for value in inputs.values()
    )


def _check_range(name: str, limits: Mapping[str, Any], value: np.ndarray) -> None:
    least, most = float(value.min()), float(value.max())
    if not (math.isfinite(least) and math.isfinite(most)):  # min and max propagate NaN
        raise bad_request(f"Input {name!r} has values that are not finite (NaN, infinity).")
    low, high = limits.get("minimum"), limits.get("maximum")
    if low is None or high is None:
        return
    if least < low - RANGE_TOLERANCE or most > high + RANGE_TOLERANCE:
        raise bad_request(
            f"Input {name!r} has values from {least:g} to {most:g}; expected [{low:g}, {high:g}]."
        )


def _check_strings(name: str, limits: Mapping[str, Any], value: np.ndarray) -> None:
    least, most = limits.get("least_bytes"), limits.get("most_bytes")
    for text in value.flat:
        if least is not None and len(text.strip()) < least:
            raise bad_request(f"Input {name!r} has an empty string.")
        if most is not None and len(text) > most:
            raise bad_request(
                f"Input {name!r} has a string of {len(text)} bytes; the limit is {most}."
            )
        if limits.get("encoding") == "jpeg":
            _check_jpeg(name, text, limits.get("most_pixels"))


def _check_jpeg(name: str, data: bytes, most_pixels: int | None) -> None:
    """Check a JPEG by its header, without decoding."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise bad_request(f"Input {name!r} has a JPEG with too many pixels.") from None
    except Exception as error:  # Pillow raises many types of error on a damaged header
        raise bad_request(f"Input {name!r} has bytes that are not a JPEG file.") from error
    if most_pixels is not None and width * height > most_pixels:
        raise bad_request(
            f"Input {name!r} has a JPEG of {width} x {height} pixels; the limit is {most_pixels}."
        )
