# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import asyncio
import gc
import time
import weakref

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mmv_tf.search.guard import Guard
from mmv_tf.search.page_settings import PageSettings


async def take(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def guard(body_timeout=10.0):
    app = Starlette(routes=[Route("/", take, methods=["GET", "POST"])])
    return Guard(app, max_upload_bytes=1000, body_timeout=body_timeout)


def client():
    return TestClient(guard(), base_url="http://127.0.0.1:8600")


def upload(guarded, body, messages=()):
    """The status of an upload whose first part is sent, and then the messages, if there are any."""
    parts = [{"type": "http.request", "body": body, "more_body": True}, *messages]
    answers = []

    async def receive():
        if not parts:
            await asyncio.Event().wait()  # a client that sends no more
        return parts.pop(0)

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}

    async def run():
        await guarded(scope, receive, send)
        return answers[0]["status"]

    return run()


def test_uploads_are_limited():
    limit = 1 << 20  # of JSON, which is larger than an upload here
    assert client().post("/", content=b"x" * limit).text == str(limit)
    assert client().post("/", content=b"x" * (limit + 1)).status_code == 413
    assert client().get("/", headers={"content-length": "-5"}).status_code == 413
    assert client().get("/", headers={"content-length": "a"}).status_code == 413

    def pieces():
        for _ in range(10):
            yield b"x" * 200_000

    # Sent in pieces, a body does not say how long it will be.
    assert client().post("/", content=pieces()).status_code == 413


def test_headers():
    headers = client().get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "data:" not in policy


def test_slow_uploads_are_ended():
    started = time.monotonic()
    assert asyncio.run(upload(guard(0.2), b"x" * 10)) == 408
    assert 0.1 < time.monotonic() - started < 5
    end = {"type": "http.request", "body": b"y", "more_body": False}
    assert asyncio.run(upload(guard(0.2), b"x", [end])) == 200


def test_a_refused_body_is_freed_at_once():
    class Body(bytearray):
        """One that weak references can name."""

    kept = []

    async def app(scope, receive, send):
        body = Body()
        kept.append(weakref.ref(body))
        while True:
            body += (await receive())["body"]

    gc.disable()
    try:
        assert asyncio.run(upload(Guard(app, 1000, 0.1), b"x" * 10)) == 408
        assert kept[0]() is None, "it is not kept until garbage is collected"
    finally:
        gc.enable()


def test_uploads_are_limited_all_together():
    guarded = guard(0.5)
    largest = b"x" * (1 << 20)

    async def run():
        return await asyncio.gather(*(upload(guarded, largest) for _ in range(6)))

    assert sorted(asyncio.run(run())) == [408] * 4 + [503] * 2
    end = {"type": "http.request", "body": b"", "more_body": False}
    assert asyncio.run(upload(guarded, largest, [end])) == 200, "what they held is free again"


def test_settings():
    assert PageSettings().is_loopback
    assert PageSettings(host="::1").is_loopback
    with pytest.raises(ValueError, match="anyone who can reach"):
        PageSettings(host="0.0.0.0")
    assert PageSettings(host="0.0.0.0", everybody=True).hosts is None
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        PageSettings(port=70_000)
    with pytest.raises(ValueError, match="above 0"):
        PageSettings(results=0)
    with pytest.raises(ValueError, match="timeouts"):
        PageSettings(body_timeout=0)
