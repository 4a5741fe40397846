# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's gRPC interface: PredictionService and ModelService.

Methods are declared as streams of messages, of which only the first is read. The wire format is the
same, but this lets gRPC receive a message only once the key has been checked and there is room.
Messages are received as bytes and parsed here, one large message at a time: a proto may need many
times its size, and gRPC would parse all at once.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from mmv_tf.serving import metrics
from mmv_tf.serving.errors import FAILED, GRPC_CODES, RequestError, bad_request
from mmv_tf.serving.json_codec import DEFAULT_SIGNATURE
from mmv_tf.serving.service import AVAILABLE, LOADING, Service
from mmv_tf.serving.tensor_codec import decode, to_arrays, to_response
from mmv_tf.serving.uploads import Uploads
from mmv_tf.serving.validation import held_bytes

logger = logging.getLogger(__name__)

_OK = 200  # status of a success in the metrics
# Concurrent uploads. Ours: a large one keeps a core busy, so more would not be faster.
_UPLOADS = 4
# gRPC's receive window for an unread message, which limits the bytes that a client without a key
# can make the server hold for each request. Ours.
_WINDOW_BYTES = 1 << 14
_IDLE_MS = 60_000  # limit for a connection without requests; clients reconnect automatically; ours
Read = Callable[[], Awaitable[bytes]]
Method = Callable[[Read], Awaitable[tuple[Message, str]]]


def make_grpc_server(service: Service) -> grpc.aio.Server:
    """Return the server, not yet bound to a port.

    Args:
      service: answers the requests.
    """
    settings = service.settings
    # More than are accepted, so that the excess gets our answer and not gRPC's.
    most = 4 * settings.max_active + 16
    server = grpc.aio.server(
        maximum_concurrent_rpcs=most,
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_concurrent_streams", most),
            ("grpc.max_allowed_incoming_connections", settings.max_connections),
            ("grpc.max_connection_idle_ms", _IDLE_MS),
            ("grpc.server_handshake_timeout_ms", int(1000 * settings.body_timeout)),
            ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
            ("grpc.http2.bdp_probe", 0),  # would widen the window
            # Two servers on one port would each get half of the requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    methods = _Methods(service)
    predictions = Uploads(settings.body_timeout, _UPLOADS)
    questions = Uploads(settings.body_timeout, _UPLOADS)  # slow predictions don't delay them
    for name, handlers in (
        (
            "tensorflow.serving.PredictionService",
            {
                "Predict": _guarded(service, methods.predict, predictions),
                "GetModelMetadata": _guarded(service, methods.get_metadata, questions),
            },
        ),
        (
            "tensorflow.serving.ModelService",
            {"GetModelStatus": _guarded(service, methods.get_status, questions)},
        ),
    ):
        wrapped = {
            method: grpc.stream_unary_rpc_method_handler(
                handler,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for method, handler in handlers.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, wrapped),))
    return server


def _guarded(
    service: Service, method: Method, uploads: Uploads
) -> Callable[[Any, Any], Awaitable[Any]]:
    """Check the key, turn errors into gRPC errors, and count the request."""

    async def handle(messages: Any, context: Any) -> Any:
        del messages  # this generator is never exhausted and would keep the message alive
        started = time.monotonic()
        label, status, message = metrics.UNKNOWN, _OK, ""
        response = None
        try:
            service.check_key(_key(context))
            response, label = await method(functools.partial(_read, context, uploads))
        except RequestError as refusal:
            # Not the error itself: its traceback would keep this frame and so the message.
            status, message = refusal.status, refusal.message
        except Exception:
            logger.exception("A request failed.")
            status, message = FAILED, "The server failed; see its log."
        service.metrics.request("grpc", label, status, time.monotonic() - started)
        if status != _OK:
            await context.abort(getattr(grpc.StatusCode, GRPC_CODES[status]), message)
        return response

    return handle


async def _read(context: Any, uploads: Uploads) -> bytes:
    """Return the request's message.

    Raises:
      RequestError: 400 if there is none, 408 or 503 if it does not arrive in time.
    """
    async with uploads.arriving():
        data = await context.read()
    if data is grpc.aio.EOF:
        raise bad_request("The request has no message.")
    return data


def _key(context: Any) -> str | None:
    given = dict(context.invocation_metadata() or ())
    kind, _, key = str(given.get("authorization", "")).partition(" ")
    return key.strip() if kind.lower() == "bearer" else given.get("x-api-key")


class _Methods:
    """The interface's methods."""

    def __init__(self, service: Service):
        self._service = service

    async def predict(self, read: Read) -> tuple[Message, str]:
        service = self._service
        service.check_free()  # before receiving a message
        data = await read()
        with service.memory.reserve() as share:
            await service.uploads.hold(share, len(data))
            async with service.admitted() as deadline:
                request, signature, inputs = await service.read(
                    len(data), lambda: self._unfold(data)
                )
                await service.uploads.hold(share, len(data) + held_bytes(inputs))
                wanted = list(request.output_filter)
                outputs = await service.predict(signature, inputs, deadline)
                spec = {
                    "name": service.settings.model_name,
                    "signature_name": signature.name,
                    "version": service.version,
                }
                return to_response(outputs, wanted, spec), signature.name

    def _unfold(self, data: bytes) -> tuple[Any, Any, dict[str, Any]]:
        request = decode(predict_pb2.PredictRequest(), data)
        self._check_model(request.model_spec)
        signatures = self._service.servable.signatures
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if name not in signatures:
            raise bad_request(f"There is no signature {name!r}; available: {sorted(signatures)}.")
        return (
            request,
            signatures[name],
            to_arrays(request, signatures[name], self._service.settings),
        )

    async def get_metadata(self, read: Read) -> tuple[Message, str]:
        request = decode(get_model_metadata_pb2.GetModelMetadataRequest(), await read())
        self._check_model(request.model_spec)
        if list(request.metadata_field) != ["signature_def"]:
            raise bad_request('metadata_field must be ["signature_def"].')
        servable = self._service.servable
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._service.settings.model_name
        response.model_spec.version.value = servable.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.signature_defs.items():
            signatures.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(signatures)
        return response, metrics.UNKNOWN

    async def get_status(self, read: Read) -> tuple[Message, str]:
        request = decode(get_model_status_pb2.GetModelStatusRequest(), await read())
        self._check_model(request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        state = get_model_status_pb2.ModelVersionStatus.State
        status = response.model_version_status.add()
        status.version = self._service.version
        status.state = {
            AVAILABLE: state.AVAILABLE,
            LOADING: state.LOADING,
        }.get(self._service.state, state.UNLOADING)
        return response, metrics.UNKNOWN

    def _check_model(self, spec: Any) -> None:
        version = spec.version.value if spec.HasField("version") else None
        self._service.check_model(spec.name, version, spec.version_label or None)
