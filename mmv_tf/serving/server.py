# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The server: both interfaces on one event loop, from the first port to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from mmv_tf.serving.grpc_interface import make_grpc_server
from mmv_tf.serving.rest import RestInterface
from mmv_tf.serving.service import Service
from mmv_tf.serving.settings import ServerSettings

# Bytes of a request's line and headers. Ours; long tokens fit.
_MAX_HEAD = 1 << 16
# What Uvicorn warns of at each request that offers another protocol, as Java's clients do.
_OFFERS = ("Unsupported upgrade request.", "No supported WebSocket library detected.")


class _Uvicorn(uvicorn.Server):
    """Leaves the process's signals to us: gRPC and the queue have to stop too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture."""
        yield


def run(settings: ServerSettings, announce: Callable[[str], None] = print) -> None:
    """Serves until SIGTERM or SIGINT, then answers what it has taken and returns.

    Args:
      settings: how.
      announce: told in a line when the server is ready, with its addresses.

    Raises:
      ValueError: if the network can't be loaded.
      OSError: if a port is taken.
    """
    asyncio.run(_serve(settings, announce))


async def _serve(settings: ServerSettings, announce: Callable[[str], None]) -> None:
    service = Service(settings)
    listener = _listen(settings.host, settings.rest_port)
    rest = _Uvicorn(
        uvicorn.Config(
            RestInterface(service),
            http=_protocol(settings.body_timeout),
            h11_max_incomplete_event_size=_MAX_HEAD,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=int(max(1, settings.body_timeout)),
            timeout_graceful_shutdown=int(max(1, settings.stop_timeout)),
        )
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_offer)
    grpc_server = None
    address = f"REST http://{_shown(settings.host)}:{listener.getsockname()[1]}"
    if settings.grpc_port is not None:
        grpc_server = make_grpc_server(service)
        try:
            port = grpc_server.add_insecure_port(f"{_shown(settings.host)}:{settings.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"gRPC's port {settings.grpc_port} can't be used: {error}") from error
        address += f", gRPC {_shown(settings.host)}:{port}"

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Health is answered while the network loads.
    serving = asyncio.create_task(rest.serve(sockets=[listener]))
    if grpc_server is not None:
        await grpc_server.start()
    stop = asyncio.create_task(stopping.wait())
    loading = asyncio.create_task(service.load())
    try:
        await asyncio.wait([loading, stop, serving], return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            name, version = settings.model_name, service.version
            announce(f"Serving {name}, version {version}: {address}")
            await asyncio.wait([stop, serving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        await asyncio.wait([loading])  # its thread can't be interrupted
        await _stop(service, rest, serving, grpc_server)


async def _stop(
    service: Service, rest: _Uvicorn, serving: asyncio.Task[None], grpc_server: Any
) -> None:
    """Refuses what is new, answers what was taken, closes."""
    await service.stop()
    rest.should_exit = True
    if grpc_server is not None:
        await grpc_server.stop(grace=1.0)
    await serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol said: else asyncio leaves Nagle's algorithm on, and each answer over a kept
    # connection waits 40 ms for the client's acknowledgement of its head.
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


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_no_offer(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_OFFERS)


def _protocol(head_timeout: float) -> type[asyncio.Protocol]:
    """Uvicorn's HTTP protocol, which also ends connections that send no request.

    It is the one with h11. httptools, which Uvicorn prefers, drops the body of a request that
    offers another protocol (`Upgrade: h2c`), and the answer has to be as without the offer.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Closes a connection whose first request's head does not come in time."""

        def connection_made(self, transport: Any) -> None:
            """Starts the clock."""
            super().connection_made(transport)
            self._head_timer = asyncio.get_running_loop().call_later(head_timeout, self._check_head)

        def connection_lost(self, error: Exception | None) -> None:
            """Stops the clock."""
            self._head_timer.cancel()
            super().connection_lost(error)

        def _check_head(self) -> None:
            if self.cycle is None:
                self.transport.close()

    return Protocol
