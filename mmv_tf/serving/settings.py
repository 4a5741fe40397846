# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server settings: addresses, limits, timeouts. All defaults are ours."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

from mmv_tf.util.addresses import is_loopback, local_names

MEBIBYTE = 1 << 20
# Reserved for health checks. Ours: more than they need.
_HEALTH_CONNECTIONS = 16


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """Server settings.

    Args:
      model_base_path: a folder of numbered versions, of which the newest is served, or one
        SavedModel.
      model_name: name in URLs and requests.
      host: address to listen on. Any address other than loopback needs an API key.
      rest_port, grpc_port: ports; 0 for any free port; a gRPC port of None disables gRPC.
      api_key: key required in every request except health checks; None for no key.
      batching: whether to batch waiting requests of the same shape.
      max_batch_rows, max_batch_bytes: limits on one call to the model; a request with more rows is
        split into several calls.
      batch_wait: seconds that a request waits for others while the model is idle.
      executors: number of concurrent calls to the model.
      max_queue: number of requests that may wait; the next request gets 503 immediately.
      max_connections: number of concurrent HTTP connections, and the same number for gRPC; fewer if
        there are too few file descriptors. Beyond that, connections whose clients keep the server
        waiting longest are closed.
      allowed_hosts: host names to serve besides those of localhost. On a loopback address, all
        others are refused, because any site may point its name here.
      allowed_origins: sites whose pages may send requests, such as "https://example.org".
      max_body_bytes: maximum size of an HTTP request.
      max_message_bytes: maximum size of a gRPC request. Lower than for HTTP, because a proto may
        expand to 24 times its size.
      max_json_bytes: maximum memory of a parsed JSON request, estimated from its punctuation.
      max_input_bytes: maximum size of one request's tensors; a JPEG frame counts as decoded.
      max_rows: maximum number of rows in one request.
      memory_bytes: limit for the bodies and tensors of all requests together.
      body_timeout: seconds for a request's headers and body to arrive.
      request_timeout: seconds for a whole request.
      stop_timeout: seconds that active requests have after SIGTERM.

    Raises:
      ValueError: values are invalid or contradict each other.
    """

    model_base_path: str | os.PathLike[str]
    model_name: str = "mmv"
    host: str = "127.0.0.1"
    rest_port: int = 8501  # as in TensorFlow Serving
    grpc_port: int | None = 8500
    api_key: str | None = None
    batching: bool = True
    max_batch_rows: int = 32
    max_batch_bytes: int = 16 * MEBIBYTE
    batch_wait: float = 0.002
    executors: int = 2
    max_queue: int = 256
    max_connections: int = 1024
    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    max_body_bytes: int = 64 * MEBIBYTE
    max_message_bytes: int = 32 * MEBIBYTE
    max_json_bytes: int = 512 * MEBIBYTE
    max_input_bytes: int = 32 * MEBIBYTE
    max_rows: int = 1024
    memory_bytes: int = 384 * MEBIBYTE
    body_timeout: float = 20.0
    request_timeout: float = 60.0
    stop_timeout: float = 30.0

    def __post_init__(self) -> None:
        positive = [
            field.name
            for field in dataclasses.fields(self)
            if field.name.startswith(("max_", "body_", "request_", "stop_", "memory_", "executors"))
        ]
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive.")
        if self.batch_wait < 0:
            raise ValueError(f"batch_wait is {self.batch_wait}; it can't be negative.")
        for name in ("rest_port", "grpc_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port < 1 << 16:
                raise ValueError(f"{name} is {port}; ports are from 0 to 65535.")
        if self.api_key is not None and len(self.api_key) < 16:
            raise ValueError("The API key is too short to be secret; use 16 characters or more.")
        if self.api_key is None and not self.is_loopback:
            raise ValueError(
                f"On {self.host} anyone could use the server; set an API key, or listen on "
                "127.0.0.1."
            )
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(
                    f"{origin!r} is not an origin; expected one like https://example.org, without "
                    "a path."
                )
        if self.max_body_bytes > self.memory_bytes or self.max_input_bytes > self.memory_bytes:
            raise ValueError(
                "A limit for one request exceeds memory_bytes, the limit for all requests."
            )

    @property
    def max_active(self) -> int:
        """The maximum number of waiting and running requests, leaving room for health checks."""
        most = self.max_queue + self.executors * self.max_batch_rows
        return min(most, max(1, self.max_connections - _HEALTH_CONNECTIONS))

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """Host names that REST serves; None for any name, which requires the API key."""
        if not self.is_loopback and not self.allowed_hosts:
            return None
        return (*local_names(self.host), *(name.lower() for name in self.allowed_hosts))

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the server."""
        return is_loopback(self.host)
