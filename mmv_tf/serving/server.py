# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server with both interfaces on one event loop, from start to shutdown."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from collections.abc import Callable
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.grpc_interface import make_grpc_server
from mmv_tf.serving.rest import RestInterface, refusal
from mmv_tf.serving.service import Service
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.web.connections import Connections
from mmv_tf.web.descriptors import connections_within
from mmv_tf.web.gate import Gate
from mmv_tf.web.listening import Server, configuration, listen, quiet_about_clients, shown


def run(settings: ServerSettings, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT, then answer the accepted requests and return.

    Args:
      settings: the server's settings.
      announce: called once the server is ready, with a line that contains its URLs.

    Raises:
      ValueError: the model can't be loaded.
      OSError: a port is taken.
    """
    asyncio.run(_serve(settings, announce))


async def _serve(settings: ServerSettings, announce: Callable[[str], None]) -> None:
    room = connections_within(settings.max_connections, each=2)  # one for REST and one for gRPC
    settings = dataclasses.replace(settings, max_connections=room)
    service = Service(settings)
    connections = Connections(room, settings.body_timeout)
    listener = listen(settings.host, settings.rest_port)
    rest = Server(
        configuration(
            _application(service), connections, settings.body_timeout, settings.stop_timeout
        )
    )
    quiet_about_clients()
    grpc_server = None
    address = f"REST http://{shown(settings.host)}:{listener.getsockname()[1]}"
    if settings.grpc_port is not None:
        grpc_server = make_grpc_server(service)
        try:
            port = grpc_server.add_insecure_port(f"{shown(settings.host)}:{settings.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"gRPC's port {settings.grpc_port} can't be used: {error}") from error
        address += f", gRPC {shown(settings.host)}:{port}"

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    connections.watch(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Health checks are answered while the model loads.
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


def _application(service: Service) -> ASGIApp:
    """Return the REST interface, protected from other sites' pages."""
    settings = service.settings
    application: ASGIApp = RestInterface(service)
    if settings.allowed_origins:
        application = CORSMiddleware(
            application,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Encoding", "Content-Type", "X-API-Key"),
        )
    return Gate(application, settings.hosts, settings.allowed_origins, _refuse)


def _refuse(status: int, text: str) -> Response:
    return refusal(RequestError(status, text))


async def _stop(
    service: Service, rest: Server, serving: asyncio.Task[None], grpc_server: Any
) -> None:
    """Refuse new requests, answer accepted ones, and close."""
    await service.stop()
    rest.should_exit = True
    if grpc_server is not None:
        await grpc_server.stop(grace=1.0)
    await serving
