# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small application behind the real protocol, and clients that mean it no good."""

import asyncio
import contextlib
import errno
import logging
import re
import socket
import threading
import time

import pytest
import uvicorn

from mmv_tf.web.connections import MAX_HEAD_BYTES, Connections

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope, receive, send):
    """Reads the body and answers; /large with 32 MiB, /wait after a while."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/wait":
        await asyncio.sleep(0.6)
    body = b"x" * (32 << 20 if scope["path"] == "/large" else 2)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server:
    """The application in a thread.

    Attributes:
      connections: those under test.
      port: where it listens.
      loop: its event loop.
    """

    def __init__(self, most, head_timeout):
        self.connections = Connections(most, head_timeout)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=self.connections.protocol(),
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                lifespan="off",
                log_level="critical",
            )
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener)))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    async def _serve(self, listener):
        self.loop = asyncio.get_running_loop()
        self.connections.watch(self.loop)
        await self._server.serve([listener])

    def stop(self):
        self._server.should_exit = True
        self._thread.join()

    def connect(self, sent=b""):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(sent)
        return connection

    def get(self, sent=GET):
        """The status of a request over a new connection."""
        with self.connect(sent) as connection:
            return status(connection)


def status(connection):
    """Of the next answer, which is short; 0 if the connection was closed without one."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        try:
            piece = connection.recv(1)
        except ConnectionResetError:
            return 0
        if not piece:
            return 0
        answer += piece
    left = int(re.search(rb"content-length: (\d+)", answer)[1])
    while left and (piece := connection.recv(left)):
        left -= len(piece)
    return int(answer.split()[1])


@pytest.fixture(scope="module")
def server():
    server = Server(most=20, head_timeout=0.4)
    yield server
    server.stop()


@pytest.mark.parametrize(
    "endless",
    [
        b"X-%d: a\r\n" * 10_000,
        b"a" * (1 << 20),
        b"X: " + b"a" * (1 << 20),
    ],
)
def test_a_head_without_an_end_gets_431(server, endless):
    with server.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + endless[:100_000])
        assert status(connection) == 431
    assert server.get(b"no http\r\n\r\n") == 400
    assert server.get() == 200


@pytest.mark.parametrize("begun", [b"", b"GET / HT", GET[:-2]])
def test_every_head_has_to_come_in_time(server, begun):
    with server.connect(GET) as kept, server.connect(begun) as first:
        assert status(kept) == 200
        started = time.monotonic()
        kept.sendall(begun)  # the head of its second request
        assert status(first) == status(kept) == 0
        assert 0.1 < time.monotonic() - started < 2
    with server.connect(GET) as kept:
        for _ in range(3):
            assert status(kept) == 200
            time.sleep(0.2)  # together longer than a head may take
            kept.sendall(GET)


def test_a_long_answer_to_a_long_request_is_not_cut(server):
    wait = GET.replace(b"GET /", b"GET /wait")
    with server.connect(wait) as connection:
        assert status(connection) == 200


def test_an_answer_that_nobody_reads_is_given_up(server):
    connections = [server.connect(GET.replace(b"GET /", b"GET /large")) for _ in range(5)]
    until = time.monotonic() + 5
    while len(server.connections) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(server.connections) == 0
    for connection in connections:
        connection.close()


@pytest.mark.slow
def test_an_answer_that_is_read_slowly_is_sent(server):
    with server.connect(GET.replace(b"GET /", b"GET /large")) as connection:
        read = 0
        for _ in range(8):
            time.sleep(0.15)
            for _ in range(64):
                read += len(connection.recv(1 << 16))
        while read < 32 << 20:
            piece = connection.recv(1 << 20)
            assert piece, read
            read += len(piece)


def test_where_there_are_too_many_the_longest_waiting_go():
    server = Server(most=20, head_timeout=30)
    try:
        working = server.connect(GET.replace(b"GET /", b"GET /wait"))
        slow = server.connect(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1")
        time.sleep(0.1)  # until they have been read
        idle = [server.connect(b"GET /") for _ in range(60)]
        started = time.monotonic()
        for _ in range(5):
            assert server.get() == 200
        assert time.monotonic() - started < 2
        assert len(server.connections) <= 20
        assert status(slow) == 503, "a request that had begun is told"
        assert [status(connection) for connection in idle[:20]] == [0] * 20
        assert status(working) == 200, "it was not waiting for its client"
    finally:
        server.stop()
    for connection in (working, slow, *idle):
        connection.close()


def test_a_lack_of_descriptors_closes_waiting_connections_and_is_logged_once(caplog):
    server = Server(most=100, head_timeout=30)
    try:
        idle = [server.connect(b"GET /") for _ in range(40)]
        until = time.monotonic() + 5
        while len(server.connections) < 40 and time.monotonic() < until:
            time.sleep(0.01)
        shortage = {"exception": OSError(errno.EMFILE, "Too many open files")}
        with caplog.at_level(logging.WARNING):
            for _ in range(1000):  # as asyncio reports it, for each place of its queue
                server.loop.call_soon_threadsafe(server.loop.call_exception_handler, shortage)
            assert server.get() == 200
        assert len(server.connections) in (24, 25)  # with that of the request just answered
        (record,) = caplog.records
        assert "closed 16 of 40" in record.getMessage()
    finally:
        server.stop()
    for connection in idle:
        connection.close()
