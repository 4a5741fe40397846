# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, generated from the endpoint table."""

from __future__ import annotations

import re
from typing import Any

from mmv_tf.search.api.endpoints import ENDPOINTS, RAW, Endpoint, Parameter
from mmv_tf.util.safe_files import Count, Form, Positive
from mmv_tf.version import __version__

Json = dict[str, Any]

_REASONS = {
    400: "The request is malformed.",
    401: "The token is missing or incorrect.",
    403: "The request comes from a page of another site.",
    404: "There is no such video, moment or upload.",
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The body has an unsupported type, or the model does not accept such a file.",
    422: "The request can't be answered: the file can't be decoded, or no word is known.",
    429: "Too many incorrect tokens.",
    503: "The index is missing, or the server is busy.",
    507: "The server's disk is full.",
}
# Statuses that every endpoint may return.
_ALWAYS = (400, 401, 403, 408, 429, 503)
_SCHEMAS: dict[Any, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {"type": "null"},
    Count: {"type": "integer", "minimum": 0},
    Positive: {"type": "number", "exclusiveMinimum": 0},
    object: {},
}


def document(needs_token: bool = True) -> Json:
    """Return the OpenAPI 3.1 document.

    Args:
      needs_token: whether the server requires a token.
    """
    paths: dict[str, Json] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.address, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Search your videos",
            "version": __version__,
            "description": "Finds moments in videos by sentences, audio, images and clips.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": schema({"error": str})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if needs_token else [],
    }


def schema(form: Form) -> Json:
    """Return a form's JSON Schema; see `safe_files.check_form`."""
    if isinstance(form, list):
        return {"type": "array", "items": schema(form[0])}
    if isinstance(form, dict) and list(form) == [str]:
        return {"type": "object", "additionalProperties": schema(form[str])}
    if isinstance(form, dict):
        required = [name for name in form if not name.endswith("?")]
        made: Json = {
            "type": "object",
            "properties": {name.removesuffix("?"): schema(one) for name, one in form.items()},
        }
        return {**made, "required": required} if required else made
    if isinstance(form, tuple):
        kinds = [one for one in form if not (one is int and float in form)]
        return schema(kinds[0]) if len(kinds) == 1 else {"anyOf": [schema(one) for one in kinds]}
    return dict(_SCHEMAS[form])


def _operation(endpoint: Endpoint) -> Json:
    made: Json = {
        "operationId": endpoint.name,
        "summary": endpoint.text.partition(".")[0] + ".",
        "description": endpoint.text,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", endpoint.path)
        ]
        + [_parameter(name, one) for name, one in endpoint.query.items()],
        "responses": {str(endpoint.status): {"description": "The answer.", **_content(endpoint)}},
    }
    if endpoint.body is RAW:
        content: Json = {"application/octet-stream": {"schema": {"type": "string"}}}
        made["requestBody"] = {"required": True, "content": content}
    elif endpoint.body is not None:
        content = {"application/json": {"schema": _closed(schema(endpoint.body))}}
        made["requestBody"] = {"required": True, "content": content}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in sorted({*_ALWAYS, *endpoint.errors}):
        made["responses"][str(status)] = {"description": _REASONS[status], "content": error}
    if endpoint.is_open:
        made["security"] = []
    return made


def _parameter(name: str, parameter: Parameter) -> Json:
    shape = schema(parameter.form)
    if parameter.choices:
        shape["enum"] = list(parameter.choices)
    made: Json = {"name": name, "in": "query", "description": parameter.text, "schema": shape}
    return {**made, "required": True} if parameter.required else made


def _content(endpoint: Endpoint) -> Json:
    if endpoint.answer is None:
        return {}
    if isinstance(endpoint.answer, str):
        return {"content": {endpoint.answer: {}}}
    return {"content": {"application/json": {"schema": schema(endpoint.answer)}}}


def _closed(shape: Json) -> Json:
    """Return a request schema in which unknown fields are errors."""
    if "items" in shape:
        return {**shape, "items": _closed(shape["items"])}
    if "anyOf" in shape:
        return {**shape, "anyOf": [_closed(one) for one in shape["anyOf"]]}
    if "properties" in shape:
        inner = {name: _closed(one) for name, one in shape["properties"].items()}
        return {**shape, "properties": inner, "additionalProperties": False}
    return shape
