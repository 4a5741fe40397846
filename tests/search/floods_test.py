# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clients that hold what the page's server has little of; others still get the page."""

import functools
import http.client
import subprocess
import sys
import time
import types

import pytest

from benchmarks import process_memory
from mmv_tf.search.store import Writer, open_index
from tests import running
from tests.serving.floods_test import check_memory, connections

pytest.importorskip("uvicorn", reason="the extra 'search' is not installed")
pytestmark = pytest.mark.slow

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n"
# MiB over the idle server's, half a minute later at most: the allocator keeps some of what large
# bodies took.
LATER = 200


@pytest.fixture(scope="module")
def server(library, tmp_path_factory):
    own = library.copy(tmp_path_factory.mktemp("site"))
    Writer(own.index, open_index(own.index).manifest).commit(roots={"": str(own.videos)})
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "search", "serve", f"--index={own.index}",
         "--http_port=0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=running.ROOT,
    )  # fmt: skip
    try:
        address = next(line for line in process.stdout if "Search page: " in line)
        port = int(address.rstrip("/\n").rsplit(":", 1)[1])
        served = types.SimpleNamespace(
            rest=port,
            memory=functools.partial(process_memory.mebibytes, process=process.pid),
            reset_peak=functools.partial(process_memory.reset_peak, process.pid),
        )
        check(served)
        served.idle = served.memory()
        yield served
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert rest.count("\n") < 20, rest


def check(server):
    """The page comes within 2 seconds."""
    client = http.client.HTTPConnection("localhost", server.rest, timeout=10)
    started = time.monotonic()
    client.request("GET", "/")
    answer = client.getresponse()
    assert answer.status == 200 and b"<html" in answer.read()
    assert time.monotonic() - started < 2
    client.close()


@pytest.mark.parametrize(
    ("count", "sent"),
    [
        (40, b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(1_000_000))),
        (1100, GET + b"GET / HTTP/1.1\r\nX: "),
        (1100, b""),
        (340, POST + b"{"),
        (40, POST + b" " * 50_000_000),
    ],
    ids=["endless heads", "slow heads", "idle", "slow bodies", "large slow bodies"],
)
def test_floods(server, count, sent):
    server.reset_peak()
    with connections(server, count, sent):
        for _ in range(3):
            check(server)
    check_memory(server, LATER)
