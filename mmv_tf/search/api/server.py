# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Server for the API and the page, from start to shutdown."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable

from mmv_tf.search.api.application import application
from mmv_tf.search.api.handlers import CUTTERS, Handlers
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.search.searcher import Searcher
from mmv_tf.search.store import MissingIndex
from mmv_tf.web.connections import Connections
from mmv_tf.web.descriptors import connections_within
from mmv_tf.web.listening import Server, configuration, listen, quiet_about_clients, shown

# Ours: seconds allowed for answers in progress when the server stops, such as playing videos.
_STOP_SECONDS = 3.0


def run(
    searcher: Searcher, settings: PageSettings, announce: Callable[[str], None] = print
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
      searcher: searcher for the queries. If there is an index, its model is loaded first.
      settings: the server's settings.
      announce: called with the URL once the page can be opened.

    Raises:
      ValueError: the index is damaged, or its model is missing or differs.
      OSError: the port is in use.
    """
    listener = listen(settings.host, settings.port)
    try:
        warnings = searcher.open().warnings
        searcher.embedder()
    except MissingIndex as error:
        warnings = (str(error),)
    for warning in warnings:
        announce(f"note: {warning}")
    decoder = Decoder(settings.deadline_seconds)
    for ahead in (decoder.start, searcher.prepare):
        threading.Thread(target=ahead, daemon=True).start()
    cutter = Decoder(settings.cut_seconds, CUTTERS)
    handlers = Handlers(searcher, settings, decoder, cutter)
    try:
        asyncio.run(_serve(handlers, settings, listener, announce))
    finally:
        handlers.close()
        decoder.close()
        cutter.close()


async def _serve(
    handlers: Handlers,
    settings: PageSettings,
    listener: socket.socket,
    announce: Callable[[str], None],
) -> None:
    # A connection may have a video open.
    room = connections_within(settings.max_connections, each=2)
    connections = Connections(room, settings.head_timeout)
    connections.watch(asyncio.get_running_loop())
    server = Server(
        configuration(
            application(handlers, settings), connections, settings.head_timeout, _STOP_SECONDS
        )
    )
    quiet_about_clients()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if not serving.done():
        port = listener.getsockname()[1]
        announce(f"Search page: http://{shown(settings.host)}:{port}/")
    await serving
