# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's REST interface, as an ASGI application.

GET  /v1/models/NAME[/versions/N]             the version's state
GET  /v1/models/NAME[/versions/N]/metadata    its signatures
POST /v1/models/NAME[/versions/N]:predict     a prediction
GET  /monitoring/prometheus/metrics, /metrics
GET  /healthz, /readyz                        alive; ready for predictions
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import time
from typing import Any

from google.protobuf import json_format
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send
from tensorflow_serving.apis import get_model_metadata_pb2

from mmv_tf.serving import metrics
from mmv_tf.serving.errors import (
    BAD_REQUEST,
    FAILED,
    NOT_FOUND,
    TOO_LARGE,
    UNSUPPORTED,
    RequestError,
    bad_request,
)
from mmv_tf.serving.json_codec import format_response, parse_request
from mmv_tf.serving.memory import Reservation
from mmv_tf.serving.service import Service
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.unpacking import ACCEPTED, GzipReader, is_gzip
from mmv_tf.serving.uploads import Uploads
from mmv_tf.serving.validation import held_bytes

logger = logging.getLogger(__name__)

_PREFIX = "/v1/models/"
_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:\w+)?"
)
# Ours. After an early refusal, seconds to read and discard the rest of a body: a client that is
# still sending would otherwise see a broken connection instead of the answer.
_LINGER_SECONDS = 5.0


class _Receiver:
    """A request's messages, and whether the last has arrived."""

    def __init__(self, receive: Receive):
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.ended = self.ended or not message.get("more_body", False)
        return message


class RestInterface:
    """The ASGI application.

    Args:
      service: answers the requests.
    """

    def __init__(self, service: Service):
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request."""
        if scope["type"] != "http":
            return
        started = time.monotonic()
        receiver = _Receiver(receive)
        request = Request(scope, receiver)
        label = metrics.UNKNOWN
        try:
            response, label = await self._route(request)
        except RequestError as error:
            response = refusal(error)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("A request failed.")
            response = refusal(RequestError(FAILED, "The server failed; see its log."))
        if scope["path"].startswith(_PREFIX):
            seconds = time.monotonic() - started
            self._service.metrics.request("rest", label, response.status_code, seconds)
        await _respond(response, request, receiver, send)

    async def _route(self, request: Request) -> tuple[Response, str]:
        """Return the response, and the signature to count it under."""
        path, method = request.url.path, request.method
        if path == "/healthz" and method in ("GET", "HEAD"):
            return PlainTextResponse("ok\n"), metrics.UNKNOWN
        if path == "/readyz" and method in ("GET", "HEAD"):
            reason = self._service.refuses()
            text = reason or f"{self._service.state.lower()}"
            return PlainTextResponse(f"{text}\n", 503 if reason else 200), metrics.UNKNOWN
        self._service.check_key(_key(request))
        if path in ("/metrics", "/monitoring/prometheus/metrics") and method == "GET":
            content = self._service.metrics.render()
            return Response(content, media_type=metrics.MEDIA_TYPE), metrics.UNKNOWN
        match = _PATH.fullmatch(path)
        if match is None:
            raise RequestError(NOT_FOUND, f"There is nothing at {path}; see {_PREFIX}NAME.")
        version = int(match["version"]) if match["version"] else None
        self._service.check_model(match["name"], version, match["label"])
        rest = match["rest"]
        if method == "GET" and rest is None:
            return JSONResponse(self._status()), metrics.UNKNOWN
        if method == "GET" and rest == "/metadata":
            return JSONResponse(self._metadata()), metrics.UNKNOWN
        if method == "POST" and rest == ":predict":
            return await self._predict(request)
        raise bad_request(f"{method} {path} is not supported; use POST {_PREFIX}NAME:predict.")

    async def _predict(self, request: Request) -> tuple[Response, str]:
        service = self._service
        service.check_free()  # before receiving a body
        with service.memory.reserve() as share:
            body = await read_body(request, share, service.uploads, service.settings)
            async with service.admitted() as deadline:
                read = functools.partial(
                    parse_request, body, service.servable.signatures, service.settings
                )
                parsed = await service.read(len(body), read)
                del body, read  # only the tensors are needed from here on
                await service.uploads.hold(share, held_bytes(parsed.inputs))
                name = parsed.signature.name
                try:
                    outputs = await service.predict(parsed.signature, parsed.inputs, deadline)
                except RequestError as error:
                    return refusal(error), name
                size = sum(value.nbytes for value in outputs.values())
                content = await service.read(size, lambda: format_response(outputs, parsed.by_row))
                return Response(content, media_type="application/json"), name

    def _status(self) -> dict[str, Any]:
        return {
            "model_version_status": [
                {
                    "version": str(self._service.version),
                    "state": self._service.state,
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }

    def _metadata(self) -> dict[str, Any]:
        servable = self._service.servable
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.signature_defs.items():
            signatures.signature_def[name].CopyFrom(definition)
        described = json_format.MessageToDict(
            signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return {
            "model_spec": {
                "name": self._service.settings.model_name,
                "signature_name": "",
                "version": str(servable.version),
            },
            "metadata": {"signature_def": described},
        }


async def read_body(
    request: Request, share: Reservation, uploads: Uploads, settings: ServerSettings
) -> bytearray:
    """Read the whole body within the time and size limits, counting it as it arrives.

    A gzip body is unpacked as it arrives; the limits apply to the unpacked size.

    Raises:
      RequestError: 400, 408, 413, 415, or 503 if other requests hold the memory.
    """
    reader = GzipReader() if is_gzip(request.headers.getlist("content-encoding")) else None
    most = settings.max_body_bytes
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
        raise _too_large(most, packed=reader is not None)
    body = bytearray()
    received = 0
    async with uploads.arriving() as upload:
        async for chunk in request.stream():
            received += len(chunk)  # a gzip without content may be endless
            for piece in reader.unpack(chunk) if reader else (chunk,):
                if max(received, len(body) + len(piece)) > most:
                    raise _too_large(most, packed=reader is not None)
                await uploads.hold(share, len(body) + len(piece), upload)
                body += piece
                if reader:
                    await asyncio.sleep(0)
    if reader:
        reader.finish()
    return body


def _too_large(most: int, packed: bool) -> RequestError:
    return RequestError(
        TOO_LARGE,
        f"The body {'unpacks to more' if packed else 'is larger'} than {most} bytes. Send JPEG "
        "frames, or use gRPC.",
    )


def _key(request: Request) -> str | None:
    """Return a request's API key."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key")


def refusal(error: RequestError) -> Response:
    """Return the answer to a refused request."""
    content = json.dumps({"error": error.message}).encode()
    headers = {"Accept-Encoding": ACCEPTED} if error.status == UNSUPPORTED else None
    return Response(content, error.status, headers, media_type="application/json")


async def _respond(response: Response, request: Request, receiver: _Receiver, send: Send) -> None:
    """Send a response; close the connection if the body was not read to its end."""
    early = response.status_code >= BAD_REQUEST and not _is_read(request, receiver)
    if not early:
        await response(request.scope, request.receive, send)
        return
    response.headers["connection"] = "close"
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receiver()).get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_read(request: Request, receiver: _Receiver) -> bool:
    """Return whether nothing more of a request's body can arrive."""
    if receiver.ended:
        return True
    headers = request.headers
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
