# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sockets to listen on, and Uvicorn's server without its own signal handlers."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from mmv_tf.web.connections import MAX_HEAD_BYTES, Connections

# Uvicorn's warnings that any client can cause repeatedly: offers of another protocol, as from Java
# clients, and input that is not HTTP, which gets 400.
_CLIENTS_DOING = (
    "Unsupported upgrade request.",
    "No supported WebSocket library detected.",
    "Invalid HTTP request received.",
)


class Server(uvicorn.Server):
    """Uvicorn's server, for programs that handle signals themselves."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signal handlers unchanged."""
        yield


def configuration(
    application: ASGIApp, connections: Connections, keep_alive: float, stop_timeout: float
) -> uvicorn.Config:
    """Return Uvicorn's settings, common to all servers.

    Args:
      application: the server's application.
      connections: its connections.
      keep_alive: maximum seconds that a connection may be idle.
      stop_timeout: maximum seconds for answers in progress when the server stops.
    """
    return uvicorn.Config(
        application,
        http=connections.protocol(),
        backlog=connections.backlog,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(max(1, keep_alive)),
        timeout_graceful_shutdown=int(max(1, stop_timeout)),
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address.

    Args:
      host: host name or address.
      port: port; 0 for any free port.

    Raises:
      OSError: the port is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol: otherwise asyncio leaves Nagle's algorithm on, and each answer over
    # a kept connection waits 40 ms for the client's acknowledgement of its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"{error.strerror} (choose another port)", f"{host}:{port}"
        ) from None
    return listener


def shown(host: str) -> str:
    """Return a host in the form that URLs use."""
    return f"[{host}]" if ":" in host else host


def quiet_about_clients() -> None:
    """Keep warnings that any client can cause out of Uvicorn's log."""
    logging.getLogger("uvicorn.error").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CLIENTS_DOING)
