# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""`mmv download`, from a server on this machine."""

from __future__ import annotations

import http.server
import threading

import pytest

from mmv_tf.pretrained import registry
from tests.programs.program import Program

CONTENT = bytes(range(256)) * 1000


class _Weights(http.server.BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        type(self).requests += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def address():
    _Weights.requests = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Weights)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/weights"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def download():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")  # no network for pip
        patch.delenv("PIP_FIND_LINKS", raising=False)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        program = Program("download", takes_arguments=True)
    yield program
    program.close()


@pytest.mark.slow
def test_without_a_name_it_lists_everything(download):
    done = download()
    assert done.status == 0
    for name in ("word_vectors", "film", *registry()):
        assert f"  {name} " in done.stdout
    assert "125 MB" in done.stdout and "CC BY-NC 4.0" in done.stdout


def test_weights_are_downloaded_once(download, address, tmp_path):
    flags = ("mmv_s3d", f"--output={tmp_path}", f"--address={address}")
    path = tmp_path / "mmv_s3d" / "mmv_s3d.pkl"
    for _ in range(2):
        done = download(*flags)
        assert (done.status, done.stdout) == (0, f"mmv_s3d: {path}\n")
        assert path.read_bytes() == CONTENT
    assert "CC BY-NC 4.0" in download("mmv_tsm_resnet_x1", *flags[1:]).stderr
    assert _Weights.requests == 2
    # Damaged since: it is not handed out.
    path.write_bytes(CONTENT[:-1] + b"x")
    done = download(*flags)
    assert done.status == 1 and str(path) in done.stderr


@pytest.mark.parametrize("name", ["word_vectors", "film"])
def test_without_a_package_index_it_fails_in_one_line(download, tmp_path, name):
    done = download(name, f"--output={tmp_path / 'new'}")
    assert done.status == 1
    (line,) = done.stderr.splitlines()
    assert "the package index can't be reached" in line
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["word_vector"], "did you mean word_vectors?"),
        (["QQQ"], "mmv download lists"),
        (["film", "--address=http://127.0.0.1/"], "--address applies only to a single weights"),
        (
            ["mmv_s3d", "mmv_s3d", "--address=http://127.0.0.1/"],
            "--address applies only to a single weights file",
        ),
    ],
)
def test_wrong_usage(download, arguments, complaint):
    done = download(*arguments)
    assert done.status == 2
    (line,) = done.stderr.splitlines()
    assert complaint in line
