# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Object stores on the loopback address, and a proxy that injects faults.

Fixtures: `s3_store` and `gcs_store` give a test a bucket of its own and set the environment, which
child processes inherit. Both servers start once a session, when a test first asks for one.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import http.client
import http.server
import itertools
import json
import pathlib
import random
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

SECRET = "hush-hush-never-print-this-0123456789"  # no log, error or manifest may hold it
_S3 = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
_GCS = """
import sys
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
print(server._api._httpd.server_port, flush=True)
sys.stdin.read()
server.stop()
"""


@dataclasses.dataclass
class LoopbackStore:
    """A bucket on a loopback server.

    Attributes:
      url: the bucket's URL, s3://NAME or gs://NAME.
      endpoint: the server's address.
      monkeypatch: sets the environment of the test and its children.
      cache: the mirror's folder.
    """

    url: str
    endpoint: str
    monkeypatch: pytest.MonkeyPatch
    cache: pathlib.Path

    def use(self, endpoint: str) -> None:
        """Let clients reach the store by another address, such as that of a `Proxy`."""
        name = "AWS_ENDPOINT_URL" if self.url.startswith("s3:") else "STORAGE_EMULATOR_HOST"
        self.monkeypatch.setenv(name, endpoint)

    def fresh_machine(self) -> None:
        """Go on with an empty mirror, as another machine would."""
        self.cache = self.cache.with_name(f"{self.cache.name}+")
        self.monkeypatch.setenv("MMV_TF_STORAGE_CACHE", str(self.cache))

    @contextlib.contextmanager
    def faulty(self, plan: Callable[[Request], str | None]) -> Iterator[Proxy]:
        """Put a proxy between clients and the store during the block."""
        with Proxy(self.endpoint, plan) as proxy:
            self.use(proxy.url)
            try:
                yield proxy
            finally:
                self.use(self.endpoint)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    pytest.importorskip("moto")
    with _server(_S3) as address:
        yield address


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """The address of a Google Cloud Storage server."""
    pytest.importorskip("gcp_storage_emulator")
    with _server(_GCS) as address:
        yield address


_numbers = itertools.count(1)


@pytest.fixture
def s3_store(s3_server, monkeypatch, tmp_path) -> LoopbackStore:
    """An empty bucket, and an empty mirror."""
    name = f"bucket-{next(_numbers)}"
    ask(f"{s3_server}/{name}", "PUT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "loopback")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return _store(f"s3://{name}", s3_server, monkeypatch, tmp_path)


@pytest.fixture
def gcs_store(gcs_server, monkeypatch, tmp_path) -> LoopbackStore:
    """An empty bucket, and an empty mirror."""
    name = f"bucket-{next(_numbers)}"
    body = json.dumps({"name": name}).encode()
    ask(f"{gcs_server}/storage/v1/b?project=loopback", "POST", body)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "loopback")
    return _store(f"gs://{name}", gcs_server, monkeypatch, tmp_path)


@pytest.fixture(params=["s3", "gs"])
def either_store(request) -> LoopbackStore:
    """A bucket of each kind in turn."""
    return request.getfixturevalue({"s3": "s3_store", "gs": "gcs_store"}[request.param])


def _store(url: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path):
    cache = folder / "storage"
    monkeypatch.setenv("MMV_TF_STORAGE_CACHE", str(cache))
    return LoopbackStore(url, endpoint, monkeypatch, cache)


@contextlib.contextmanager
def _server(code: str) -> Iterator[str]:
    """Run a server that prints its port and ends with its standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.terminate()


def ask(url: str, method: str, body: bytes | None = None) -> None:
    """Send one request, without credentials, which loopback servers do not need."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, body, headers, method=method)
    urllib.request.urlopen(request, timeout=20).close()


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that a proxy forwards.

    Attributes:
      number: 0 for the first.
      method, path: of the request; the path includes the query.
      listing: it asks for a list of objects.
    """

    number: int
    method: str
    path: str

    @property
    def listing(self) -> bool:
        parts = urllib.parse.urlsplit(self.path)
        return self.method == "GET" and (
            "list-type" in parts.query or parts.path.rstrip("/").endswith("/o")
        )


# What may happen to a request; see `Proxy`.
FAULTS = ("500", "503", "slow", "cut", "cut_body", "lost")


def at_random(
    seed: int, share: float, kinds: Sequence[str] = FAULTS, most: int | None = None
) -> Callable[[Request], str | None]:
    """A plan that disturbs a share of all requests, `most` of them at most."""
    chance, lock, left = random.Random(seed), threading.Lock(), [most]

    def plan(request: Request) -> str | None:
        with lock:
            if left[0] == 0 or chance.random() >= share:
                return None
            if left[0] is not None:
                left[0] -= 1
            return chance.choice(kinds)

    return plan


class Proxy:
    """Forwards requests to a server, disturbing those for which the plan names a fault.

    Faults: "500"; "503", with Retry-After; "401" and "403"; "slow", answered late; "cut", before
    the server sees it; "lost", done by the server but not answered; "cut_body", half of an answer;
    "stale", the first answer that the same listing had; "skewed", as if the clocks differed;
    "pages", no fault: S3's listings have three objects a page.
    """

    def __init__(self, target: str, plan: Callable[[Request], str | None]):
        self.injected: collections.Counter[str] = collections.Counter()
        self.requests: list[Request] = []
        self.slow_seconds = 0.3
        self.retry_after = "1"  # seconds, of "503"
        self._target = urllib.parse.urlsplit(target).netloc
        self._plan = plan
        self._lock = threading.Lock()
        self._listings: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def forward(self) -> None:
                proxy._handle(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = forward

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handle(self, client: http.server.BaseHTTPRequestHandler) -> None:
        body = _body(client)
        with self._lock:
            request = Request(len(self.requests), client.command, client.path)
            self.requests.append(request)
            fault = self._plan(request)
            if fault is not None:
                self.injected[fault] += 1
        if fault == "cut":
            client.close_connection = True
            return
        if fault in _STATUSES:
            self._refuse(client, fault)
            return
        if fault == "slow":
            time.sleep(self.slow_seconds)
        more = "&max-keys=3" if fault == "pages" else ""
        status, headers, answer = self._ask(client, body, more)
        if request.listing:
            former = self._listings.setdefault(request.path, (status, headers, answer))
            if fault == "stale":
                status, headers, answer = former
        if fault == "lost":
            client.close_connection = True
            return
        _send(client, status, headers, answer, cut=fault == "cut_body")

    def _ask(self, client, body: bytes, more: str) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            headers = {k: v for k, v in client.headers.items() if k.lower() not in _HOP}
            connection.request(client.command, client.path + more, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, client, fault: str) -> None:
        status, code = _STATUSES[fault]
        headers = [("Retry-After", self.retry_after)] if fault == "503" else []
        # What a careless client might print.
        text = f"<Error><Code>{code}</Code><Message>key {SECRET}</Message></Error>"
        if "/storage/v1/" in client.path or "/upload/" in client.path:
            text = json.dumps({"error": {"code": status, "message": f"key {SECRET}"}})
        _send(client, status, headers, text.encode(), cut=False)


_STATUSES = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "401": (401, "AuthRequired"),
    "403": (403, "AccessDenied"),
    "skewed": (403, "RequestTimeTooSkewed"),
}
_HOP = ("connection", "transfer-encoding", "expect", "content-length")


def _body(client: http.server.BaseHTTPRequestHandler) -> bytes:
    """The whole body of a request, of a known length or in chunks."""
    if "chunked" not in client.headers.get("Transfer-Encoding", ""):
        return client.rfile.read(int(client.headers.get("Content-Length") or 0))
    pieces = []
    while size := int(client.rfile.readline().split(b";")[0], 16):
        pieces.append(client.rfile.read(size))
        client.rfile.readline()
    client.rfile.readline()
    return b"".join(pieces)


def _send(client, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool) -> None:
    head = client.command == "HEAD"
    client.send_response_only(status)
    length = str(len(body))
    for name, value in headers:
        if name.lower() == "content-length" and head:
            length = value
        elif name.lower() not in (*_HOP, "content-length"):
            client.send_header(name, value)
    if status != 204:
        client.send_header("Content-Length", length)
    client.end_headers()
    if cut:
        body = body[: len(body) // 2]
        client.close_connection = True
    if not head:
        client.wfile.write(body)
    if cut:
        client.wfile.flush()
