# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The MCP server, driven by the protocol's own client."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("mcp.server.mcpserver", reason="the extra 'mcp' is not installed")

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mmv_tf.data import media
from mmv_tf.search.api.mcp_server import make_server
from mmv_tf.search.files import video_id
from tests import running
from tests.search.api.conftest import Here

MOMENT = f"{video_id('long.mp4')}-2300-3100"


@pytest.fixture
def server(api, tmp_path):
    return make_server(api.searcher, Here(), tmp_path / "clips")


def call(server, tool, **arguments):
    """(whether it failed, the text, the structured answer) of a tool's call."""

    async def run():
        async with Client(server) as client:
            result = await client.call_tool(tool, arguments)
            return result.is_error, result.content[0].text, result.structured_content

    return asyncio.run(run())


def test_the_tools_are_described(server):
    async def run():
        async with Client(server) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(run())}
    assert set(tools) == {"search_videos", "get_clip"}
    shape = tools["search_videos"].input_schema
    assert shape["required"] == ["query"]
    assert all(one["description"] for one in shape["properties"].values())
    assert tools["search_videos"].annotations.read_only_hint


def test_search(api, server):
    failed, text, found = call(server, "search_videos", query="a red square", limit=2)
    assert not failed and json.loads(text) == found
    expected = api.get("/search", q="a red square", limit=2)
    assert [moment["moment"] for moment in found["moments"]] == [
        moment["id"] for moment in expected["moments"]
    ]
    assert found["more"] == expected["more"]
    only = call(server, "search_videos", query="a red square", folder="sub")[2]["moments"]
    assert {moment["file"] for moment in only} == {"sub/silent.mkv"}
    assert str(api.library.root) not in text


def test_a_clip(server, tmp_path):
    failed, _, made = call(server, "get_clip", moment=MOMENT)
    assert not failed
    assert (made["file"], made["start"], made["end"]) == ("long.mp4", 2.3, 3.1)
    assert media.probe(made["path"]).duration == pytest.approx(0.8, abs=0.002)
    assert made["path"].startswith(str(tmp_path / "clips"))
    assert len(list((tmp_path / "clips").iterdir())) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search_videos", {"query": "xylophone", "within": "video"}, "xylophone"),
        ("search_videos", {"query": ""}, "1 to 1000 characters"),
        ("search_videos", {"query": "red", "within": "smell"}, "within"),
        ("search_videos", {"query": "red", "limit": 1000}, "limit"),
        ("search_videos", {}, "query"),
        ("get_clip", {"moment": "../../etc/passwd"}, "not the id of a moment"),
        ("get_clip", {"moment": f"{'0' * 20}-0-1000"}, "no video"),
        ("get_clip", {"moment": MOMENT, "mode": "fast"}, "exact"),
    ],
)
def test_mistakes(server, api, tool, arguments, message):
    failed, text, _ = call(server, tool, **arguments)
    assert failed and message in text
    assert str(api.library.root) not in text


def test_a_disk_that_is_full(server, monkeypatch, tmp_path):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmv_tf.search.api.mcp_server.cut_in_child", fail)
    failed, text, _ = call(server, "get_clip", moment=MOMENT)
    assert failed and "No space left on device" in text
    assert list((tmp_path / "clips").iterdir()) == []


@pytest.mark.slow
def test_the_program(api, tmp_path):
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mmv_tf", "search", "mcp", f"--index={api.library.index}",
              f"--clips={tmp_path / 'clips'}"],
        cwd=str(running.ROOT),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip

    async def run():
        async with Client(stdio_client(parameters)) as client:
            found = await client.call_tool("search_videos", {"query": "a red square"})
            key = found.structured_content["moments"][0]["moment"]
            return await client.call_tool("get_clip", {"moment": key, "mode": "copy"})

    made = asyncio.run(run())
    assert not made.is_error
    assert media.probe(made.structured_content["path"]).duration > 0


@pytest.mark.slow
def test_the_program_over_http(api, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mmv_tf", "search", "mcp", f"--index={api.library.index}",
               f"--clips={tmp_path / 'clips'}", f"--http_port={port}"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=running.ROOT, env=environment, stderr=subprocess.PIPE)

    async def ask():
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            found = await client.call_tool("search_videos", {"query": "a red square"})
            return found.structured_content["moments"]

    try:
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        assert process.poll() is None, process.stderr.read()
        assert asyncio.run(ask())[0]["file"]
        # Pages of other sites, which may reach this machine under a name of theirs, are rejected.
        evil = http.client.HTTPConnection("127.0.0.1", port)
        evil.request(
            "POST", "/mcp", "{}", {"Host": "evil.example", "Content-Type": "application/json"}
        )
        assert evil.getresponse().status in (403, 421)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
