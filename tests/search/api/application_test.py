# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import asyncio
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
    assert "does not take 'DELETE'" in api.error(405, "DELETE", "/search")
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
    assert api.error(500, "GET", "/index") == "The server failed; its log says more."
    assert "secret" in caplog.text


def test_a_request_that_the_end_of_the_server_cuts_off(api, monkeypatch):
    async def cancelled(*arguments):
        raise asyncio.CancelledError

    monkeypatch.setattr(api.handlers._listing, "run", cancelled)
    assert api.error(503, "GET", "/index") == "The server is stopping."
