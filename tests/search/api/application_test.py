# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import re

import pytest

from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.files import video_id


def test_the_page_and_its_files(api):
    page = api.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    names = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert names
    for name in names:
        assert api.client.get(name).status_code == 200, name
    script = api.client.get("/assets/page.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for name in ("../page.py", "%2e%2e/page.py", "..%2fpage.py", "", "none.js"):
        assert api.client.get(f"/assets/{name}").status_code == 404


def test_what_no_endpoint_takes(api):
    assert "nothing at '/api/v1/nothing'" in api.error(404, "GET", "/nothing")
    assert "does not support 'DELETE'" in api.error(405, "DELETE", "/search")
    allowed = api.client.delete("/api/v1/search").headers["allow"]
    assert {"GET", "POST"} <= {name.strip() for name in allowed.split(",")}
    assert api.client.get("/healthz").json() == {"status": "ok"}


def test_requests_of_other_sites_are_refused(api):
    headers = {"origin": "http://elsewhere.example"}
    assert "other sites" in api.error(403, "GET", "/index", headers=headers)
    assert "elsewhere.example" in api.error(
        403, "GET", "/index", headers={"host": "elsewhere.example"}
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_unknown_parameters_are_refused(api, endpoint):
    path = endpoint.path.replace("{video}", video_id("long.mp4"))
    path = path.replace("{moment}", f"{video_id('long.mp4')}-0-1000")
    body = {} if endpoint.body is None else {"content": b"{}"}
    headers = {"content-type": "application/json"}
    message = api.error(400, endpoint.method, f"{path}?limmit=3", headers=headers, **body)
    assert message.startswith("There is no parameter 'limmit'")


def test_a_failure_tells_nothing(api, monkeypatch, caplog):
    def fail():
        raise RuntimeError(f"secret {api.library.root}")

    monkeypatch.setattr(api.handlers.library, "about", fail)
    assert api.error(500, "GET", "/index") == "The server failed; see its log."
    assert "secret" in caplog.text


def test_a_request_that_the_end_of_the_server_cuts_off(api, monkeypatch):
    async def cancelled(*arguments):
        raise asyncio.CancelledError

    monkeypatch.setattr(api.handlers._listing, "run", cancelled)
    assert api.error(503, "GET", "/index") == "The server is stopping."


def upload(api, parts):
    """The messages of the answer to an upload, whose client then sends no more."""
    answers = []

    async def receive():
        if not parts:
            await asyncio.Event().wait()
        return parts.pop(0)

    async def send(message):
        answers.append(message)

    headers = [(b"host", b"127.0.0.1:8600")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/uploads", "headers": headers,
             "query_string": b"", "server": ("127.0.0.1", 8600), "scheme": "http",
             "http_version": "1.1", "client": ("127.0.0.1", 1)}  # fmt: skip
    asyncio.run(api.app(scope, receive, send))
    return answers


def test_clients_that_go_or_wait_are_not_in_the_log(own_api, caplog):
    api = own_api(body_timeout=0.2)
    begun = {"type": "http.request", "body": b"x", "more_body": True}
    upload(api, [begun, {"type": "http.disconnect"}])
    slow = upload(api, [begun])
    assert slow[0]["status"] == 408 and json.loads(slow[1]["body"])["error"].endswith("too long.")
    large = {**begun, "body": b"x" * (2 << 20)}
    assert upload(api, [large])[0]["status"] == 413
    assert not caplog.records
