# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mmv_tf.search.guard import Guard
from mmv_tf.search.page_settings import PageSettings


async def take(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def client(**changes):
    settings = PageSettings(max_upload_bytes=1000, **changes)
    app = Starlette(routes=[Route("/", take, methods=["GET", "POST"])])
    guarded = Guard(app, settings.hosts, settings.max_upload_bytes)
    return TestClient(guarded, base_url="http://127.0.0.1:8600")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8600", 200),
        ("localhost", 200),
        ("[::1]:8600", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8600", 403),
        ("", 403),
    ],
)
def test_only_this_machines_names(host, status):
    assert client().get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8600", 200),
        ("http://localhost:8600", 200),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
def test_not_from_other_sites(origin, status):
    assert client().get("/", headers={"origin": origin}).status_code == status


def test_uploads_are_limited():
    limit = 1000 + (64 << 10)
    assert client().post("/", content=b"x" * limit).text == str(limit)
    assert client().post("/", content=b"x" * (limit + 1)).status_code == 413
    assert client().get("/", headers={"content-length": "-5"}).status_code == 413
    assert client().get("/", headers={"content-length": "a"}).status_code == 413

    def pieces():
        for _ in range(10):
            yield b"x" * 10_000

    # Sent in pieces, a body does not say how long it will be.
    assert client().post("/", content=pieces()).status_code == 413


def test_headers():
    headers = client().get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy


def test_web_sockets_of_other_sites_are_refused():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    guarded = TestClient(Guard(app, PageSettings().hosts, 10))
    ours = {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}
    with guarded.websocket_connect("/", headers=ours):
        assert seen == ["websocket"]
    theirs = {**ours, "origin": "http://evil.example"}
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("/", headers=theirs):
        pass
    assert seen == ["websocket"], "the page never saw the second one"


def test_settings():
    assert PageSettings().is_loopback
    assert PageSettings(host="::1").is_loopback
    with pytest.raises(ValueError, match="everybody who reaches"):
        PageSettings(host="0.0.0.0")
    assert PageSettings(host="0.0.0.0", everybody=True).hosts is None
    with pytest.raises(ValueError, match="ports are"):
        PageSettings(port=70_000)
    with pytest.raises(ValueError, match="above 0"):
        PageSettings(results=0)


def test_everybody_may_be_let_in_but_no_other_site():
    open_to_all = client(host="0.0.0.0", everybody=True)
    assert open_to_all.get("/", headers={"host": "my-machine:8600"}).status_code == 200
    headers = {"host": "my-machine:8600", "origin": "http://evil.example"}
    assert open_to_all.get("/", headers=headers).status_code == 403
