# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The server as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from mmv_tf.data import media
from tests import running
from tests.search.api.conftest import serve

pytestmark = pytest.mark.slow
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def server(library, tmp_path_factory):
    """(address, process, library) of a server with a token that all addresses may reach."""
    root = tmp_path_factory.mktemp("server")
    own = serve(library.copy(root)).library
    (root / "token").write_text(TOKEN)
    process = subprocess.Popen(
        [sys.executable, "-m", "mmv_tf", "search", "serve", f"--index={own.index}", "--http_port=0",
         "--host=0.0.0.0", f"--token_file={root / 'token'}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=running.ROOT,
        env={**os.environ, "TMPDIR": str(root)},
    )  # fmt: skip
    line = next(line for line in process.stdout if "Search page: " in line)
    port = line.rstrip("/\n").rsplit(":", 1)[1]
    yield f"http://127.0.0.1:{port}", process, own
    process.kill()
    process.wait()


def get(address, body=None, token=TOKEN):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def test_from_a_search_to_a_clip_and_the_end(server, tmp_path):
    address, process, own = server
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(f"{address}/api/v1/index", token="wrong")
    assert json.loads(get(f"{address}/api/v1/index"))["videos"] == 3
    found = json.loads(
        get(f"{address}/api/v1/search", {"queries": [{"text": "red square"}], "limit": 1})
    )
    (moment,) = found["moments"]
    (tmp_path / "clip.mp4").write_bytes(get(f"{address}{moment['clip']}"))
    seconds = moment["end"] - moment["start"]
    assert media.probe(tmp_path / "clip.mp4").duration == pytest.approx(seconds, abs=0.05)
    assert get(f"{address}{moment['thumbnail']}").startswith(b"\xff\xd8")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and rest.strip() == "Stopped.", rest
    # Only what the decoding processes' sockets are in.
    assert not [p for p in own.root.rglob("*") if p.is_file() and p.suffix == ".mp4"
                and p.parent != own.videos and p.parent != own.videos / "sub"]  # fmt: skip
