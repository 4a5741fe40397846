# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server of the search page."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable

from nicegui import app, ui
from starlette.formparsers import MultiPartParser

from mmv_tf.search.decoder import Decoder
from mmv_tf.search.guard import Guard
from mmv_tf.search.media_routes import routes
from mmv_tf.search.page import TITLE, page_function
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.search.searcher import Searcher
from mmv_tf.search.store import MissingIndex
from mmv_tf.web.connections import MAX_HEAD_BYTES, Connections
from mmv_tf.web.descriptors import connections_within
from mmv_tf.web.gate import Gate


def run(
    searcher: Searcher, settings: PageSettings, announce: Callable[[str], None] = print
) -> None:
    """Serve until SIGTERM or SIGINT. A process can serve one page, since NiceGUI has one app.

    Args:
      searcher: searcher for the queries. If there is an index, its model is loaded first.
      settings: settings of the server.
      announce: called with the address once the page can be opened.

    Raises:
      ValueError: the index is damaged, or its model is missing or another one.
      OSError: the port is in use.
    """
    port = _free_port(settings.host, settings.port)
    try:
        warnings = searcher.open().warnings
        searcher.embedder()
    except MissingIndex as error:
        warnings = (str(error),)
    for warning in warnings:
        announce(f"note: {warning}")
    # Forms are kept in memory as a whole, so that uploads are never on disk.
    MultiPartParser.spool_max_size = 2 * settings.max_upload_bytes
    connections = Connections(
        # A connection may have a video open.
        connections_within(settings.max_connections, each=2),
        settings.head_timeout,
    )
    app.add_middleware(
        Guard,
        max_upload_bytes=settings.max_upload_bytes,
        body_timeout=settings.body_timeout,
    )
    app.add_middleware(Gate, hosts=settings.hosts)
    decoder = Decoder(settings.deadline_seconds)
    threading.Thread(target=decoder.start, daemon=True).start()
    app.on_shutdown(decoder.close)
    app.router.routes[:0] = routes(searcher, decoder)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    app.on_startup(lambda: connections.watch(asyncio.get_running_loop()))
    app.on_startup(lambda: announce(f"Search page: http://{host}:{port}/"))
    for number in (signal.SIGTERM, signal.SIGINT):
        # Ignore the signal that uvicorn raises again after its shutdown.
        signal.signal(number, lambda *_: None)
    ui.run(
        page_function(searcher, settings, decoder),
        host=settings.host,
        port=port,
        http=connections.protocol(),
        backlog=connections.backlog,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        loop="asyncio",  # `Connections` handles its shortage of descriptors
        title=TITLE,
        favicon="🔎",
        reload=False,
        show=False,
        show_welcome_message=False,
        uvicorn_logging_level="error",
        timeout_graceful_shutdown=3,
    )


def _free_port(host: str, port: int) -> int:
    """Return the port, or any free one for 0.

    Raises:
      OSError: it is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror} (choose another port)", f"{host}:{port}"
            ) from None
        return int(listener.getsockname()[1])
