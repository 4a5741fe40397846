# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest
from starlette.testclient import TestClient

from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.api.tokens import Attempts, cookie
from mmv_tf.search.files import video_id
from tests.search.api.conftest import BASE, serve

TOKEN = "0123456789abcdef"
GOOD = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(library, tmp_path_factory):
    return serve(library.copy(tmp_path_factory.mktemp("tokens")), token=TOKEN)


@pytest.fixture
def client(guarded):
    """A client with an address of its own, without cookies."""
    client.number = getattr(client, "number", 0) + 1
    address = (f"10.0.0.{client.number}", 5000)
    return TestClient(guarded.app, base_url=BASE, client=address)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_each_endpoint_needs_the_token(client, endpoint):
    path = endpoint.address.replace("{video}", video_id("long.mp4"))
    path = path.replace("{moment}", f"{video_id('long.mp4')}-0-1000")
    if endpoint.is_open:
        assert client.request(endpoint.method, path).status_code == 200
        return
    missing = client.request(endpoint.method, path)
    assert missing.status_code == 401
    assert missing.headers["www-authenticate"] == "Bearer"
    assert "requires a token" in missing.json()["error"]
    wrong = client.request(endpoint.method, path, headers={"authorization": "Bearer wrong"})
    assert wrong.status_code == 401 and wrong.json() == {"error": "The token is incorrect."}
    assert client.request(endpoint.method, path, headers=GOOD).status_code != 401


def test_the_page_itself_is_open_so_that_it_can_ask(client):
    assert client.get("/").status_code == 200
    assert client.get("/assets/page.js").status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/api/v1/nothing").status_code == 401


def test_a_session_for_players(client):
    made = client.post("/api/v1/session", headers=GOOD)
    assert made.status_code == 204
    header = made.headers["set-cookie"].lower()
    assert "httponly" in header and "samesite=strict" in header and "path=/api/" in header
    assert TOKEN not in header
    media = f"/api/v1/videos/{video_id('long.mp4')}/media"
    assert client.get(media).status_code == 200
    assert client.get("/api/v1/index").status_code == 200
    client.cookies.clear()
    assert client.get(media).status_code == 401
    client.cookies.set("mmv_search", "0" * 64)
    assert client.get(media).status_code == 401
    client.cookies.set("mmv_search", cookie("another token of 16"))
    assert client.get(media).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     f"Bearer {TOKEN.upper()}", "Bearer \xff", f"Bearer {TOKEN} {TOKEN}"],
)  # fmt: skip
def test_wrong_headers(client, header):
    answer = client.get("/api/v1/index", headers={"authorization": header.encode("latin-1")})
    assert answer.status_code == 401


def test_guessing_is_slowed_down(client, guarded):
    for number in range(10):
        headers = {"authorization": f"Bearer guess number {number}"}
        assert client.get("/api/v1/index", headers=headers).status_code == 401
    refused = client.get("/api/v1/index", headers=GOOD)
    assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 61
    # Another address is not affected, nor is the page.
    other = TestClient(guarded.app, base_url=BASE, client=("10.0.1.1", 1))
    assert other.get("/api/v1/index", headers=GOOD).status_code == 200
    assert client.get("/").status_code == 200


def test_attempts():
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for second in range(10):
        assert attempts.wait("10.0.0.1") == 0
        now[0] = second
        attempts.note("10.0.0.1")
    assert attempts.wait("10.0.0.1") == 51  # the first of ten was at 0
    now[0] = 60.5
    assert attempts.wait("10.0.0.1") == 0
    attempts.note("10.0.0.1")
    assert attempts.wait("10.0.0.1") == 0.5
    # A client has all addresses of its network in IPv6.
    for number in range(10):
        attempts.note(f"2001:db8::{number}")
    assert attempts.wait("2001:db8::ffff") > 0 == attempts.wait("2001:db8:0:1::1")
    for number in range(5000):
        attempts.note(f"host {number}")
    assert attempts.wait("2001:db8::1") == 0, "only so many are remembered"


def test_without_a_token_nothing_is_needed(api):
    made = api.client.post("/api/v1/session")
    assert made.status_code == 204 and "set-cookie" not in made.headers
