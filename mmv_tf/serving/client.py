# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clients for the REST and gRPC interfaces of TensorFlow Serving and of this package's server."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_MAX_MESSAGE = 1 << 30


class ServerError(Exception):
    """A server's refusal.

    Attributes:
      status: HTTP status, or name of the gRPC status.
    """

    def __init__(self, status: int | str, message: str):
        super().__init__(f"{status}: {message}")
        self.status = status


class Client(Protocol):
    """The interface of both clients. Use each client from one thread at a time."""

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Request a prediction.

        Raises:
          ServerError: the server refuses the request.
          OSError: the server can't be reached.
        """

    def close(self) -> None:
        """Close the connection."""


def connect(
    address: str, model_name: str, api_key: str | None = None, timeout: float = 60.0
) -> Client:
    """Return a client for a URL: http://HOST:PORT for REST, grpc://HOST:PORT for gRPC.

    Raises:
      ValueError: the URL is neither.
    """
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "http" and parts.hostname and parts.port:
        return RestClient(parts.hostname, parts.port, model_name, api_key, timeout)
    if parts.scheme == "grpc" and parts.netloc:
        return GrpcClient(parts.netloc, model_name, api_key, timeout)
    raise ValueError(f"{address!r} is not a server URL; use http://HOST:PORT or grpc://HOST:PORT.")


class RestClient:
    """REST over one persistent connection.

    Args:
      host, port: host and port of the server.
      model_name: the model's name.
      api_key: key to send, if the server requires one.
      timeout: seconds to wait for an answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        model_name: str,
        api_key: str | None = None,
        timeout: float = 60.0,
    ):
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._path = f"/v1/models/{urllib.parse.quote(model_name)}"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Request a prediction; see `Client`."""
        columns = {name: _listed(np.asarray(value)) for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        status, content = self.request("POST", f"{self._path}:predict", body)
        answer = json.loads(content)
        if status != 200:
            raise ServerError(status, answer.get("error", ""))
        outputs = answer["outputs"]
        if not isinstance(outputs, dict):
            outputs = {"": outputs}  # the interface omits the name of a single output
        return {name: _array(value) for name, value in outputs.items()}

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send any request and return the status and the body."""
        # The server may have closed an idle connection, which shows up only on its next use.
        reused = self._connection.sock is not None
        try:
            return self._send(method, path, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            if not reused:
                raise OSError(f"The server does not respond: {error}") from error
            return self.request(method, path, body)
        except (http.client.HTTPException, OSError) as error:
            raise OSError(f"The server does not respond: {error}") from error

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class GrpcClient:
    """gRPC over one channel.

    Args:
      address: HOST:PORT.
      model_name, api_key, timeout: as for `RestClient`.
    """

    def __init__(
        self, address: str, model_name: str, api_key: str | None = None, timeout: float = 60.0
    ):
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_send_message_length", _MAX_MESSAGE),
                ("grpc.max_receive_message_length", _MAX_MESSAGE),
                ("grpc.use_local_subchannel_pool", 1),  # one connection per client
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._name = model_name
        self._timeout = timeout
        self._metadata = [("authorization", f"Bearer {api_key}")] if api_key else []

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Request a prediction; see `Client`."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            answer = self._stub.Predict(request, self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            call: Any = error
            raise ServerError(call.code().name, call.details() or "") from error
        return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _array(value: Any) -> np.ndarray:
    """Return numbers as float32, and strings as bytes objects, as gRPC's client does."""
    found = np.asarray(value)
    if found.dtype.kind in "OU":
        flat = [
            base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode()
            for item in np.asarray(value, object).flat
        ]
        return np.array(flat, object).reshape(found.shape)
    return found.astype(np.float32)


def _listed(value: np.ndarray) -> Any:
    if value.dtype.kind not in "OSU":
        return value.tolist()
    coded = [
        {"b64": base64.b64encode(item if isinstance(item, bytes) else item.encode()).decode()}
        for item in value.flat
    ]
    return np.array(coded, dtype=object).reshape(value.shape).tolist()
