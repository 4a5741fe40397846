# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a server is run: addresses, limits, time-outs. All defaults are ours."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

from mmv_tf.util.addresses import is_loopback, local_names

MEBIBYTE = 1 << 20
# Never taken by predictions. Ours: more than probes of health need.
_HEALTH_CONNECTIONS = 16


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """What a server may be told.

    Args:
      model_base_path: a folder of numbered versions, of which the newest is served, or one
        SavedModel.
      model_name: in addresses and requests.
      host: address to listen on. Any but a loopback one needs an API key.
      rest_port, grpc_port: 0 for any that is free; the gRPC one may be None for no gRPC.
      api_key: asked of every request but those for health; None for none.
      batching: put waiting requests of the same shape together.
      max_batch_rows, max_batch_bytes: of one call of the network; a request of more rows is run in
        several calls.
      batch_wait: seconds that a request waits for company while the network is idle.
      executors: calls of the network at once.
      max_queue: requests that may wait; the next one gets 503 at once.
      max_connections: of HTTP at once, and as many of gRPC; fewer where there are too few file
        descriptors. Where there are more, the ones that wait for their clients longest are closed.
      allowed_hosts: names that the server is asked for by besides this machine's own. On a loopback
        address all others are refused: a site may have its name point here.
      allowed_origins: of sites whose pages may ask, such as "https://example.org".
      max_body_bytes: of an HTTP request.
      max_message_bytes: of a gRPC request. Lower: a proto may unfold to 24 times its size.
      max_json_bytes: that a parsed JSON request may take, as its punctuation tells.
      max_input_bytes: of one request's tensors; a JPEG frame counts as it will be when decoded.
      max_rows: of one request.
      memory_bytes: of all requests at once, bodies and tensors.
      body_timeout: seconds for a request's head and body to arrive.
      request_timeout: seconds for a request in all.
      stop_timeout: seconds that SIGTERM leaves for the requests at work.

    Raises:
      ValueError: if values don't fit each other.
    """

    model_base_path: str | os.PathLike[str]
    model_name: str = "mmv"
    host: str = "127.0.0.1"
    rest_port: int = 8501  # as TensorFlow Serving
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
            raise ValueError("The API key is too short to be a secret; use 16 characters or more.")
        if self.api_key is None and not self.is_loopback:
            raise ValueError(
                f"On {self.host} everybody could use the server; give an API key, or listen on "
                "127.0.0.1."
            )
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(
                    f"{origin!r} is no origin; expected one such as https://example.org, without "
                    "a path."
                )
        if self.max_body_bytes > self.memory_bytes or self.max_input_bytes > self.memory_bytes:
            raise ValueError("One request's limits are above memory_bytes, that of all together.")

    @property
    def max_active(self) -> int:
        """Requests at work: those that wait, and those in a batch; health has connections left."""
        most = self.max_queue + self.executors * self.max_batch_rows
        return min(most, max(1, self.max_connections - _HEALTH_CONNECTIONS))

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """Names that REST is asked for by; None for any, which then need the API key."""
        if not self.is_loopback and not self.allowed_hosts:
            return None
        return (*local_names(self.host), *(name.lower() for name in self.allowed_hosts))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)
