# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Serving a network that nobody has exported."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from mmv_tf.training import load_model
from tests import running, small_world

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_a_network_is_exported_and_served_and_leaves_nothing(tmp_path):
    model = small_world.tiny_model()
    model.save(tmp_path / "model.keras")
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "mmv_tf", "serve", f"--model={tmp_path / 'model.keras'}"),
            *("--dtype=mixed_bfloat16", "--http_port=0", "--grpc_port=-1"),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        lines = [server.stdout.readline(), server.stdout.readline()]
        assert lines[0].startswith("Exporting ")
        port = re.search(r"REST http://127.0.0.1:(\d+)", lines[1])[1]
        body = {"signature_name": "text", "inputs": ["red square"]}
        url = f"http://127.0.0.1:{port}/v1/models/mmv:predict"
        with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
            found = np.array(json.load(answer)["outputs"])
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    model = load_model(tmp_path / "model.keras")
    wanted = model({"text": model.tokenizer(["red square"])})["text"]["vat"].numpy()
    cosine = (found * wanted).sum() / np.linalg.norm(found) / np.linalg.norm(wanted)
    assert cosine > 0.999
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_one_of_two_flags_is_needed():
    done = running.run_forked("serve")
    assert done.returncode == 2
    assert "Give either --saved_model or --model" in done.stderr
