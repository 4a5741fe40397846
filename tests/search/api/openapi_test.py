# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every endpoint is asked, and what it answers is what the document says."""

import json
import re

import pytest
from starlette.routing import Route

from mmv_tf.search.api.application import page_routes, routes
from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.api.handlers import Handlers
from mmv_tf.search.api.openapi import document, schema
from mmv_tf.search.files import video_id
from mmv_tf.util.safe_files import NUMBER, Count, check_form
from tests import media_samples

LONG = video_id("long.mp4")
PATHS = {"video": LONG, "moment": f"{LONG}-1000-1500"}
QUERIES = {
    "search_words": {"q": "a red square", "within": "video", "limit": "3", "offset": "1",
                     "group": "film", "min_score": "0.1"},
    "videos": {"offset": "0", "limit": "5", "folder": "sub", "file": "silent", "state": "indexed",
               "min_seconds": "1", "max_seconds": "9", "after": "1999-01-01",
               "before": "2999-01-01"},
    "thumbnail": {"t": "1.5"},
    "clip": {"mode": "copy"},
}  # fmt: skip
BODIES = {
    "search": {
        "queries": [{"text": "a red square", "weight": 1}, {"moment": PATHS["moment"]}],
        "within": "video", "labels": [], "limit": 3, "offset": 0, "group": None, "min_score": 0.0,
        "curves": True,
        "filters": {"folder": None, "file": "mp4", "min_seconds": 0, "max_seconds": 1e6,
                    "after": "1999-01-01", "before": None},
    },
    "lists": {"moments": [PATHS["moment"]], "format": "json", "title": "t", "frame_rate": "25"},
}  # fmt: skip


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "a.mp4"
    return media_samples.write_film(path, 0.9, codec="libx264").read_bytes()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_answers_as_described(api, endpoint, upload):
    path = re.sub(r"{(\w+)}", lambda match: PATHS[match[1]], endpoint.address)
    query = QUERIES.get(endpoint.name, {})
    assert set(query) == set(endpoint.query), "each parameter is tried"
    body = {}
    if endpoint.name in BODIES:
        body = {"json": BODIES[endpoint.name]}
        names = {name.removesuffix("?") for name in endpoint.body}
        assert set(BODIES[endpoint.name]) == names, "each entry is tried"
    elif endpoint.body is not None:
        body = {"content": upload}
    answer = api.client.request(endpoint.method, path, params=query, **body)
    assert answer.status_code == endpoint.status, answer.text
    described = document()["paths"][endpoint.address][endpoint.method.lower()]
    assert set(described["responses"]) >= {str(endpoint.status), "400", "401", "503"}
    if isinstance(endpoint.answer, dict):
        check_form(answer.json(), endpoint.answer)
        validate(answer.json(), described["responses"][str(endpoint.status)]["content"]
                 ["application/json"]["schema"])  # fmt: skip
        assert str(api.library.root) not in answer.text
    elif endpoint.answer is not None:
        kind = answer.headers["content-type"].partition(";")[0]
        assert re.fullmatch(endpoint.answer.replace("*", r"[\w-]+"), kind)
    if "json" in body:
        validate(body["json"], described["requestBody"]["content"]["application/json"]["schema"])


def validate(value, shape):
    """Checks a value against the few parts of JSON Schema that the document uses."""
    if "anyOf" in shape:
        for one in shape["anyOf"]:
            try:
                return validate(value, one)
            except AssertionError:
                continue
        raise AssertionError((value, shape))
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
             "integer": int, "number": (int, float)}  # fmt: skip
    if "type" in shape:
        assert isinstance(value, kinds[shape["type"]]), (value, shape)
        assert not (isinstance(value, bool) and shape["type"] != "boolean")
    assert value >= shape.get("minimum", 0) if "minimum" in shape else True
    if isinstance(value, list):
        for item in value:
            validate(item, shape["items"])
    if isinstance(value, dict):
        assert set(shape.get("required", ())) <= set(value)
        known = shape.get("properties", {})
        extra = shape.get("additionalProperties", True)
        for name, item in value.items():
            if name in known:
                validate(item, known[name])
            elif isinstance(extra, dict):
                validate(item, extra)
            else:
                assert extra, f"{name} is not described"
    return None


def test_nothing_is_served_that_is_not_described(api):
    served = {
        (route.path, method)
        for route in routes(api.handlers)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (path, method.upper())
        for path, methods in document()["paths"].items()
        for method in methods
    }
    others = {("/healthz", "GET")} | {(route.path, "GET") for route in page_routes()}
    assert served == described | others
    assert len(described) == len(ENDPOINTS)
    handlers = {
        name for name in vars(Handlers) if not name.startswith("_") and name not in ("close",)
    }
    assert handlers == {endpoint.name for endpoint in ENDPOINTS}


def test_schemas():
    assert schema({"a": str, "b?": [(*NUMBER, None)]}) == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
        },
        "required": ["a"],
    }
    assert schema({str: Count})["additionalProperties"] == {"type": "integer", "minimum": 0}
    json.dumps(document())


def test_a_token_is_asked_for_where_the_server_has_one(api):
    assert document()["security"] == [{"token": []}]
    assert api.get("/openapi.json")["security"] == []


def test_the_page_of_the_api(api):
    page = api.client.get("/api")
    assert page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
        assert api.client.get(name).status_code == 200, name
    assert "://" not in page.text
    assert isinstance(page_routes()[0], Route)
