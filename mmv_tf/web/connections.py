# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Limits on a server's HTTP connections: their number, idle time and header size.

A new connection is always accepted. If there are too many, the connection that has kept the server
waiting longest is closed, so idle and slow clients lose first and health checks are answered.
"""

from __future__ import annotations

import asyncio
import http
import logging
import math
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mmv_tf.web.descriptors import is_exhausted

logger = logging.getLogger(__name__)

# Ours: limit for a request's line and headers. Long tokens and cookies fit, and 1,024 connections
# hold at most 64 MiB while their headers arrive.
MAX_HEAD_BYTES = 1 << 16
# Ours: connections closed at once when descriptors run out. By then, more than a handful of new
# clients wait, and each failed attempt to accept one costs a second.
_CLOSED_WHEN_EXHAUSTED = 16
# Ours: seconds between two log lines about the same problem.
_LOG_SECONDS = 60.0


class Connections:
    """One server's open connections, for one event loop.

    Args:
      most: maximum number of concurrent connections.
      head_timeout: seconds for a request's headers to arrive: for the first request after
        connecting; for each further request, after the previous answer.
    """

    def __init__(self, most: int, head_timeout: float):
        self.most = most
        self.head_timeout = head_timeout
        self._open: set[_Protocol] = set()
        self._logged: dict[str, float] = {}
        self._made_room = -1.0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def backlog(self) -> int:
        """The number of new connections to accept at once, for Uvicorn's setting of that name.

        Small enough to close the excess before descriptors run out.
        """
        return max(16, self.most // 2)

    def protocol(self) -> type[asyncio.Protocol]:
        """Return an HTTP protocol class with these limits, for Uvicorn's setting `http`."""

        class Protocol(_Protocol):
            book = self

        return Protocol

    def add(self, connection: _Protocol) -> None:
        """Add a new connection and, if there are too many, close the longest-waiting one."""
        self._open.add(connection)
        if len(self._open) > self.most and not self._close_longest_waiting():
            connection.refuse()  # all others are being answered

    def discard(self, connection: _Protocol) -> None:
        """Forget a connection that was closed or has become a WebSocket."""
        self._open.discard(connection)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close waiting connections when file descriptors run out, and log that in one line.

        The event loop itself stops accepting for a second, but reports each of hundreds of
        attempts. So only one error of each kind is logged per minute.
        """
        usual = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if is_exhausted(error):
                self._make_room(loop.time())
            elif not self._is_news(f"{type(error)} {context['message'].split('(')[0]}"):
                return
            elif usual is not None:
                usual(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)

    def _make_room(self, now: float) -> None:
        if now < self._made_room + 0.5:
            return  # the same attempt, reported once for each place in the queue
        self._made_room = now
        closed = sum(self._close_longest_waiting() for _ in range(_CLOSED_WHEN_EXHAUSTED))
        if self._is_news("no descriptors"):
            logger.warning(
                "No file descriptors are left for new connections: closed %d of %d that were "
                "waiting. Raise the limit (ulimit -n), or lower the number of connections.",
                closed,
                closed + len(self._open),
            )

    def _is_news(self, kind: str) -> bool:
        """Return whether nothing of this kind has been logged for a while."""
        now = time.monotonic()
        if now < self._logged.get(kind, -math.inf) + _LOG_SECONDS:
            return False
        self._logged[kind] = now
        return True

    def _close_longest_waiting(self) -> bool:
        waiting = [connection for connection in self._open if connection.is_waiting()]
        if not waiting:
            return False
        min(waiting, key=lambda connection: connection.since).refuse()
        return True


class _Protocol(H11Protocol):
    """One connection's protocol.

    It uses h11. httptools, which Uvicorn prefers, does not limit headers, and drops the body of a
    request that offers another protocol (`Upgrade: h2c`).

    Attributes:
      book: all of the server's connections.
      since: time of the last answer to the client, or of its connection.
    """

    book: Connections
    since = 0.0
    _timer: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: Any) -> None:
        """Count the connection and start the timer."""
        super().connection_made(transport)
        self._expect_head()
        self.book.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Stop the timer."""
        self._forget()
        super().connection_lost(error)

    def on_response_complete(self) -> None:
        """Start the timer for the next headers."""
        self._expect_head()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer input that is not HTTP; headers that are too long get 431."""
        if len(self.conn.trailing_data[0]) > MAX_HEAD_BYTES:
            self._answer(431, f"The request's headers are longer than {MAX_HEAD_BYTES} bytes.")
        else:
            self._answer(400, msg)
        self.transport.close()

    def is_waiting(self) -> bool:
        """Return whether the server waits for the client to send a request or read an answer."""
        at_work = self.cycle is not None and not self.cycle.response_complete
        return not at_work or self.cycle.more_body or self.flow.write_paused

    def refuse(self) -> None:
        """Close the connection in favor of another; a request that has started gets 503."""
        self._forget()
        if self.cycle is not None and not self.cycle.response_started:
            self._answer(503, "The server has too many connections, and this one was slow.")
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._end()

    def _answer(self, status: int, text: str) -> None:
        """Write a whole response, unless one has started."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = f"{text}\n".encode()
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(
                status_code=status, headers=headers, reason=http.HTTPStatus(status).phrase
            ),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _expect_head(self) -> None:
        """(Re)start the timer, unless another request starts before it expires."""
        self._stop_clock()
        self.since = self.loop.time()
        self._unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(self.book.head_timeout, self._check_head, self.cycle)

    def _check_head(self, last: Any) -> None:
        if self.cycle is not last:
            return  # the end of that request starts the timer again
        unsent = self.transport.get_write_buffer_size()
        if 0 < unsent < self._unsent:  # a long answer over a slow line
            self._expect_head()
        else:
            self._end()

    def _end(self) -> None:
        """Close the connection, without waiting for a client that does not read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _forget(self) -> None:
        self._stop_clock()
        self.book.discard(self)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
