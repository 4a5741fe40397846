# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mmv_tf.util.addresses import local_names
from mmv_tf.web import gate
from mmv_tf.web.gate import Gate

OURS = local_names("127.0.0.1")
IMAGE = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
FRAME = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


def client(hosts=OURS, origins=()):
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    return TestClient(Gate(app, hosts, origins), base_url="http://127.0.0.1:8600")


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
        ("http://127.0.0.1:3000", 403),  # another program of this machine
        ("http://127.0.0.1", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_not_from_other_sites(origin, status):
    for method in ("GET", "POST"):
        answer = client().request(method, "/", headers={"origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("site", "other", "status"),
    [
        ("cross-site", IMAGE, 403),  # <img>, <video> and <script> bring no origin
        ("same-site", IMAGE, 403),  # another port of this machine
        ("same-origin", IMAGE, 200),
        ("none", LINK, 200),
        ("cross-site", LINK, 200),
        ("cross-site", FRAME, 403),
    ],
)
def test_not_what_a_browser_says_another_site_asks(site, other, status):
    headers = {"sec-fetch-site": site, **other}
    assert client().get("/", headers=headers).status_code == status
    assert client(None).get("/", headers=headers).status_code == status
    posted = client().post("/", headers=headers)
    assert posted.status_code == (403 if site == "cross-site" else status)


def test_answers_are_for_the_servers_own_pages():
    for headers in ({}, {"host": "evil.example"}):
        answer = client().get("/", headers=headers)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_an_allowed_site():
    ask = client(origins=["https://example.org"])
    headers = {"origin": "https://example.org", "sec-fetch-site": "cross-site", **IMAGE}
    answer = ask.post("/", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert ask.post("/", headers={**headers, "origin": "https://example.com"}).status_code == 403


def test_everybody_may_be_let_in_but_no_other_site():
    open_to_all = client(None)
    assert open_to_all.get("/", headers={"host": "my-machine:8600"}).status_code == 200
    headers = {"host": "my-machine:8600", "origin": "http://evil.example"}
    assert open_to_all.get("/", headers=headers).status_code == 403
    headers["origin"] = "http://my-machine:8600"
    assert open_to_all.get("/", headers=headers).status_code == 200


def test_heads_are_limited():
    many = {f"x-{number}": "1" for number in range(gate.MAX_HEADERS)}
    answer = client().get("/", headers=many)
    assert (answer.status_code, "headers" in answer.text) == (431, True)
    few = dict(list(many.items())[:50])
    assert client().get("/", headers=few).status_code == 200
    assert client().get("/", headers={"x": "a" * 60_000}).status_code == 200
    assert client().get("/", headers={"x": "a" * 70_000}).status_code == 431


def test_web_sockets_are_refused():
    ours = {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}
    with (
        pytest.raises(WebSocketDisconnect) as error,
        client().websocket_connect("/", headers=ours),
    ):
        pass
    assert error.value.code == 1008
