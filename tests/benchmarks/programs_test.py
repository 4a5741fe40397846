# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The benchmark programs run, at small sizes."""

import json
import subprocess
import sys

import pytest

from tests.running import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("start_up", "--rounds=1"),
        ("write_data", "--num_videos=1 --seconds=7 --rounds=1"),
        ("read_data", "--num_clips=4 --read=4 --rounds=1"),
        ("read_cached", "--num_clips=16 --read=4 --rounds=1"),
        ("retrieval", "--count=200 --rounds=1"),
        ("linear_svm", "--rows=400 --dim=16 --classes=4"),
        ("deflation", "--size=64 --num_frames=8 --rounds=1"),
        ("frozen_step", "--clips=2 --rounds=1"),
        ("search", "--part=index --rounds=1"),
        ("search", "--part=query --windows=20000 --queries=5"),
        ("input_and_gather", "--steps=5"),
    ],
)
def test_it_prints_one_line_of_json(program, arguments):
    command = [sys.executable, "-m", f"benchmarks.{program}", *arguments.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["cores"] >= 1
