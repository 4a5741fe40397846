# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks requests against the endpoint table, before any work is done for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from mmv_tf.search.api.endpoints import Endpoint, Parameter
from mmv_tf.search.api.errors import TOO_LARGE, UNSUPPORTED, ApiError, bad_request
from mmv_tf.util.command_line import nearest
from mmv_tf.util.safe_files import Count, Form, check_form, parse_json

# Ours: a list of a thousand moments takes 50 kB.
MAX_JSON_BYTES = 1 << 20
_MAX_STRING = 2000  # characters of a parameter; ours
_JSON = "application/json"


def read_query(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    """Return a request's URL parameters.

    Raises:
      ApiError: a parameter is unknown, duplicated, or of an unexpected type.
    """
    values: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in endpoint.query:
            raise bad_request(_unknown(name, list(endpoint.query)))
        if name in values:
            raise bad_request(f"{name} is given twice.")
        values[name] = _parse(name, text, endpoint.query[name])
    for name, parameter in endpoint.query.items():
        if parameter.required and name not in values:
            raise bad_request(f"{name} is missing; {parameter.text[0].lower()}{parameter.text[1:]}")
    return values


async def read_json(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    """Return a request's JSON body.

    Raises:
      ApiError: the body is too large, not JSON, or does not match the endpoint's form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise ApiError(UNSUPPORTED, f"The Content-Type is {kind[:60]!r}; expected {_JSON!r}.")
    body = await read_body(request, MAX_JSON_BYTES)
    try:
        value = parse_json(body)
        check_form(value, endpoint.body)
    except ValueError as error:
        raise bad_request(f"The body {_sentence(str(error))}") from None
    _check_known(value, endpoint.body, "")
    return dict(value)


async def read_body(request: Request, most: int) -> bytes:
    """Return a request's body.

    Raises:
      ApiError: the body has more than `most` bytes.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
        raise ApiError(TOO_LARGE, f"The body is larger than {most} bytes.")
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > most:
            raise ApiError(TOO_LARGE, f"The body is larger than {most} bytes.")
        body += chunk
    return bytes(body)


def _parse(name: str, text: str, parameter: Parameter) -> Any:
    if len(text) > _MAX_STRING or "\0" in text:
        raise bad_request(
            f"{name} has {len(text)} characters; expected at most {_MAX_STRING}, and no NUL."
        )
    if parameter.choices and text not in parameter.choices:
        raise bad_request(f"{name} is {text[:40]!r}; expected {' or '.join(parameter.choices)}.")
    if parameter.form is str:
        return text
    if parameter.form is Count:
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise bad_request(f"{name} is {text[:40]!r}; expected a whole number, 0 or more.")
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise bad_request(f"{name} is {text[:40]!r}; expected a number.")
    return value


def _check_known(value: Any, form: Form, where: str) -> None:
    """Refuse fields that the form does not name, most of which are misspelled.

    Raises:
      ApiError: there is an unknown field.
    """
    if isinstance(form, tuple):
        form = next((one for one in form if isinstance(one, dict | list)), None)
    if isinstance(form, list) and isinstance(value, list):
        for index, item in enumerate(value):
            _check_known(item, form[0], f"{where}[{index}]")
    elif isinstance(form, dict) and isinstance(value, Mapping):
        inner = {key.removesuffix("?"): one for key, one in form.items()}
        for key, item in value.items():
            place = f"{where}.{key}" if where else key
            if key not in inner:
                raise bad_request(_unknown(place, list(inner)))
            _check_known(item, inner[key], place)


def _unknown(name: str, known: list[str]) -> str:
    near = nearest(name.rpartition(".")[2], known)
    hint = f"did you mean {near!r}?" if near else f"expected {', '.join(known) or 'none'}."
    return f"There is no parameter {name[:80]!r}; {hint}"


def _sentence(text: str) -> str:
    return text if text.startswith("lacks") else f"is wrong: {text}"
