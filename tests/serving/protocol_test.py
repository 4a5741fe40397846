# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What HTTP clients may say besides the request itself: other protocols, packed bodies."""

import asyncio
import gzip
import http.client
import json
import socket

import pytest
from starlette.requests import Request

from mmv_tf.serving.errors import RequestError
from mmv_tf.serving.memory import MemoryBudget
from mmv_tf.serving.rest import read_body
from mmv_tf.serving.settings import ServerSettings
from mmv_tf.serving.uploads import Uploads
from tests.serving import mutations

BODY = json.dumps({"signature_name": "text", "instances": ["the red square"]}).encode()
HTTP2 = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
}
OFFERS = [
    HTTP2,
    {"Connection": "keep-alive, upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
    {"Connection": "Upgrade", "Upgrade": "TLS/1.0, HTTP/1.1"},
    {"Upgrade": "h2c"},
]


@pytest.fixture
def ask(server):
    """Asks over one connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest, timeout=30)

    def ask(method, path, body=None, headers=None, chunked=False):
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()

    yield ask
    connection.close()


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer["Upgrade"])
def test_an_offered_protocol_changes_no_answer(server, ask, offer):
    usual = ask("POST", mutations.PATH, BODY)
    assert usual[0] == 200
    assert ask("POST", mutations.PATH, BODY, offer) == usual
    chunked = {**offer, "Transfer-Encoding": "chunked"}
    assert ask("POST", mutations.PATH, iter([BODY[:9], BODY[9:]]), chunked, True) == usual
    assert ask("GET", "/v1/models/tiny", None, offer) == ask("GET", "/v1/models/tiny")
    assert ask("POST", mutations.PATH, BODY[:-1], offer)[0] == 400
    assert ask("POST", mutations.PATH, BODY) == usual  # all over the same connection
    with socket.create_connection(("127.0.0.1", server.rest), timeout=30) as connection:
        fields = {
            **offer,
            "Host": "localhost",
            "Expect": "100-continue",
            "Content-Length": len(BODY),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"POST {mutations.PATH} HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert mutations.read_answer(connection) == usual


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "identity, gzip"])
def test_a_gzip_body_is_unpacked(ask, encoding):
    usual = ask("POST", mutations.PATH, BODY)
    packed = gzip.compress(BODY)
    headers = {"Content-Encoding": encoding}
    assert ask("POST", mutations.PATH, packed, headers) == usual
    assert ask("POST", mutations.PATH, packed, {**headers, **HTTP2}) == usual
    chunked = {**headers, "Transfer-Encoding": "chunked"}
    assert ask("POST", mutations.PATH, (bytes([b]) for b in packed), chunked, True) == usual
    assert ask("POST", mutations.PATH, BODY, {"Content-Encoding": "identity"}) == usual


def test_what_can_not_be_unpacked_is_refused(server, ask):
    packed = gzip.compress(BODY)
    for wrong, encoding, status, words in (
        (packed[:-3], "gzip", 400, "cut short"),
        (packed + b"more", "gzip", 400, "after its end"),
        (BODY, "gzip", 400, "damaged"),
        (packed, "br", 415, "'br'; send identity or gzip"),
        (packed, "gzip, gzip", 415, "'gzip, gzip'"),
    ):
        got, answer = ask("POST", mutations.PATH, wrong, {"Content-Encoding": encoding})
        assert got == status and words in json.loads(answer)["error"]
    # A bomb is refused while it unpacks: 64 MiB are the limit, and what it has cost at most.
    bomb = gzip.compress(bytes(1 << 30), 9)
    before = server.memory()
    server.reset_peak()
    got, answer = ask("POST", mutations.PATH, bomb, {"Content-Encoding": "gzip"})
    assert got == 413 and "unpacks to more than 67108864 bytes" in json.loads(answer)["error"]
    assert server.memory("VmHWM") < before + 200
    endless = gzip.compress(b"") * (70 << 20 // 20)
    assert ask("POST", mutations.PATH, endless, {"Content-Encoding": "gzip"})[0] in (400, 413)
    assert ask("POST", mutations.PATH, BODY)[0] == 200


def test_a_packed_body_counts_as_what_it_unpacks_to():
    """Of 8 MiB for all requests, one that unpacks to 6 takes them, and the next gets 503."""
    packed = gzip.compress(bytes(6 << 20))
    settings = ServerSettings(
        "unused", memory_bytes=8 << 20, max_body_bytes=7 << 20, max_input_bytes=7 << 20
    )
    budget = MemoryBudget(settings.memory_bytes)

    async def receive():
        return {"type": "http.request", "body": packed}

    scope = {"type": "http", "headers": [(b"content-encoding", b"gzip")]}
    uploads = Uploads(settings.body_timeout)
    with budget.reserve() as first, budget.reserve() as second:
        body = asyncio.run(read_body(Request(scope, receive), first, uploads, settings))
        assert budget.used == len(body) == 6 << 20
        with pytest.raises(RequestError, match="memory") as error:
            asyncio.run(read_body(Request(scope, receive), second, uploads, settings))
    assert error.value.status == 503 and budget.used == 0
