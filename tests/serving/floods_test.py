# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clients that hold what a server has little of; health and good requests are answered."""

import contextlib
import json
import os
import resource
import socket
import time

import grpc
import pytest

from benchmarks.server_process import ServerProcess
from mmv_tf.serving.client import RestClient
from tests.serving import mutations

KEY = "a key of many letters"
BODY = json.dumps({"signature_name": "text", "instances": ["the red square"]}).encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = f"POST {mutations.PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
UPLOAD = f"{POST}Content-Length: 60000000\r\n\r\n".encode()
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode()
# Over the idle server's, MiB: at most meanwhile, and half a minute later. The allocator keeps some
# of what many large messages took.
MOST, LATER = 2048, 700


@contextlib.contextmanager
def connections(server, count, sent):
    """Open connections that have sent these bytes, as far as the server took them."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", server.rest), timeout=5))
            with contextlib.suppress(OSError):
                opened[-1].sendall(sent)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def check(server, seconds=2.0):
    """Health is answered within 2 seconds; a good request is too, or gets 503 as fast."""
    answers = []
    for method, path, body in (
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("POST", mutations.PATH, BODY),
    ):
        client = RestClient("127.0.0.1", server.rest, "tiny", KEY)
        started = time.monotonic()
        answers.append(client.request(method, path, body)[0])
        assert time.monotonic() - started < seconds, path
        client.close()
    assert answers[0] == 200
    assert answers[1] in (200, 503) and answers[2] in (200, 503)
    return answers


def test_slow_clients_take_no_place_of_others(server):
    """More slow bodies than there are places for requests, and heads of second requests."""
    with connections(server, 340, UPLOAD + b"{"), connections(server, 60, HEALTH + b"GET /"):
        assert check(server) == [200, 200, 200]


def test_a_page_of_another_site_gets_nothing(server):
    for wrong in (
        "Host: evil.example",
        "Origin: https://evil.example",
        "Sec-Fetch-Site: cross-site",
    ):
        host = "" if wrong.startswith("Host") else "Host: localhost\r\n"
        with socket.create_connection(("127.0.0.1", server.rest), timeout=10) as connection:
            connection.sendall(f"GET /v1/models/tiny HTTP/1.1\r\n{host}{wrong}\r\n\r\n".encode())
            status, body = mutations.read_answer(connection)
            assert status == 403 and json.loads(body)["error"]


@pytest.mark.slow
def test_an_allowed_site_may_ask(published):
    flags = ("--allowed_origins=https://example.org", "--allowed_hosts=models.example.org")
    with ServerProcess(published, *flags) as server:
        ask = (
            f"OPTIONS {mutations.PATH} HTTP/1.1\r\nHost: models.example.org\r\n"
            "Access-Control-Request-Method: POST\r\nOrigin: https://example.%s\r\n\r\n"
        )
        for site, status in (("org", b"200"), ("com", b"403")):
            with socket.create_connection(("127.0.0.1", server.rest), timeout=10) as connection:
                connection.sendall((ask % site).encode())
                answer = connection.recv(4096)
                assert answer.split()[1] == status
                allowed = b"access-control-allow-origin: https://example.org" in answer.lower()
                assert allowed == (site == "org")


@pytest.fixture(scope="module")
def guarded(published):
    """A server of its own, with a key, whose memory is watched."""
    with ServerProcess(published, MMV_API_KEY=KEY) as server:
        check(server)
        server.idle = server.memory()
        server.reset_peak()
        yield server


def check_memory(server, later=LATER):
    assert server.memory("VmHWM") < server.idle + MOST
    until = time.monotonic() + 30
    while server.memory() > server.idle + later:
        assert time.monotonic() < until, server.memory() - server.idle
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "sent"),
    [
        (40, b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(1_000_000))),
        (1100, HEALTH + b"GET / HTTP/1.1\r\nX: "),
        (1500, b""),
        (1100, CHUNKED + b"1\r\n{\r\n"),
        (40, UPLOAD + b" " * 50_000_000),
    ],
    ids=["endless heads", "slow heads", "idle", "slow bodies", "large slow bodies"],
)
def test_floods_over_rest(guarded, count, sent):
    with connections(guarded, count, sent):
        for _ in range(3):
            check(guarded)
        time.sleep(1.5)
        assert check(guarded) == [200, 200, 200], "slow uploads have lost by now"
    check_memory(guarded, 100)


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, KEY])
def test_floods_of_large_messages(guarded, key):
    guarded.reset_peak()
    metadata = [("authorization", f"Bearer {key}")] if key else []
    channels = [
        grpc.insecure_channel(
            f"127.0.0.1:{guarded.grpc}",
            [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)],
        )
        for _ in range(8)
    ]
    calls = [c.unary_unary("/tensorflow.serving.PredictionService/Predict") for c in channels]
    for _ in range(2):
        pending = [
            calls[n % 8].future(bytes(31 << 20), timeout=60, metadata=metadata) for n in range(80)
        ]
        check(guarded)
        codes = {answer.code().name for answer in pending}
        assert codes <= ({"INVALID_ARGUMENT", "UNAVAILABLE"} if key else {"UNAUTHENTICATED"})
    for channel in channels:
        channel.close()
    check_memory(guarded, LATER if key else 100)


@pytest.mark.slow
def test_slow_messages_make_room(guarded):
    """Streams that never send their message: others wait a second or two at most."""

    def never():
        time.sleep(60)
        yield b""

    metadata = [("authorization", f"Bearer {KEY}")]
    with grpc.insecure_channel(f"127.0.0.1:{guarded.grpc}") as channel:
        path = "/tensorflow.serving.PredictionService/Predict"
        slow = [
            channel.stream_unary(path).future(never(), timeout=60, metadata=metadata)
            for _ in range(12)
        ]
        time.sleep(1.5)
        started = time.monotonic()
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(path)(b"\xff", timeout=30, metadata=metadata)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, "it was read"
        assert time.monotonic() - started < 3
        for call in slow:
            call.cancel()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of a process that runs")
def test_no_descriptors_left(published):
    with ServerProcess(published, MMV_API_KEY=KEY) as server:
        check(server)
        used = len(os.listdir(f"/proc/{server.pid}/fd"))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 30, used + 30))
        with connections(server, 100, b"GET /"):
            for _ in range(5):
                # The event loop tries again after a second.
                check(server, seconds=8)
        check(server)
