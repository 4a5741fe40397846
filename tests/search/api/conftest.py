# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A copy of the library, the API over it, and a client."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra 'search' is not installed")

from starlette.testclient import TestClient

from mmv_tf.search import Searcher
from mmv_tf.search.api.application import application
from mmv_tf.search.api.handlers import Handlers
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.search.store import Writer, open_index
from tests.search.conftest import Library

BASE = "http://127.0.0.1:8600"


class Here:
    """Decodes in this process."""

    def call(self, function, name, *arguments):
        return function(*arguments)


@dataclasses.dataclass(frozen=True)
class Api:
    """The API over an index, whose videos are in the same folder."""

    library: Library
    searcher: Searcher
    handlers: Handlers
    app: Any
    client: TestClient

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer."""
        answer = self.client.get(f"/api/v1{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """The JSON of an answer."""
        answer = self.client.post(f"/api/v1{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, status: int, method: str, path: str, **arguments: Any) -> str:
        """The message of an answer with this status; it tells nothing of the disk."""
        answer = self.client.request(method, f"/api/v1{path}", **arguments)
        assert answer.status_code == status, (answer.status_code, answer.text)
        assert set(answer.json()) == {"error"}
        message = answer.json()["error"]
        assert message and "\n" not in message and "Traceback" not in message
        for secret in (self.library.root, self.library.model, self.library.index):
            assert str(secret) not in message
        return message


def serve(own: Library, **settings: Any) -> Api:
    """The API over a library."""
    Writer(own.index, open_index(own.index).manifest).commit(roots={"": str(own.videos)})
    searcher = Searcher(own.index)
    searcher._embedder = own.embedder
    chosen = PageSettings(**{"max_upload_bytes": 1 << 20, **settings})
    handlers = Handlers(searcher, chosen, Here(), Here())
    app = application(handlers, chosen)
    return Api(own, searcher, handlers, app, TestClient(app, base_url=BASE))


@pytest.fixture(scope="session")
def api(library, tmp_path_factory) -> Api:
    """The API over a library that no test changes."""
    return serve(library.copy(tmp_path_factory.mktemp("api")))


@pytest.fixture
def own_api(library, tmp_path) -> Callable[..., Api]:
    """Makes the API over a library that a test may spoil."""
    return lambda **settings: serve(library.copy(tmp_path), **settings)
