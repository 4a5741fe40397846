# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report on a GPU, on a machine without one."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from benchmarks.gpu.page import make_page
from benchmarks.gpu.work import Clock, until_full
from tests.running import ROOT


def _fails(error):
    def measure():
        raise error(None, None, "no such kernel\non this device")

    return measure


def test_a_row_has_what_was_measured_or_the_problem():
    clock = Clock(60.0, "CPU:0")
    what = {"part": "speed", "batch": 8}
    assert clock.measured(what, lambda: {"clips_a_second": 3.0}) == {**what, "clips_a_second": 3.0}
    full = clock.measured(what, _fails(tf.errors.ResourceExhaustedError))
    assert full == {**what, "problem": "out of memory"}
    other = clock.measured(what, _fails(tf.errors.UnimplementedError))
    assert other == {**what, "problem": "no such kernel on this device"}


def test_mistakes_in_the_benchmark_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Clock(60.0, "CPU:0").measured({"part": "speed"}, lambda: {"seconds": 1 / 0})


def test_after_the_time_limit_rows_are_left_out_and_listed():
    clock = Clock(-1.0, "CPU:0")
    assert clock.measured({"part": "speed", "network": "S3D-G"}, lambda: {}) is None
    assert clock.left_out == ["speed, S3D-G"]


def test_larger_batches_are_not_tried_once_the_memory_is_full():
    rows = [{"batch": 8}, {"batch": 16, "problem": "out of memory"}, {"batch": 32}]
    assert list(until_full(iter(rows))) == rows[:2]
    assert list(until_full(iter([{"batch": 8}, None, {"batch": 32}]))) == [{"batch": 8}]


def test_the_page_shows_every_row_and_what_was_left_out():
    results = {
        "device": "no GPU",
        "on_gpu": False,
        "cores": 2,
        "processor": "a processor",
        "tensorflow": "2",
        "seconds": 9.0,
        "rows": [
            {"part": "speed", "batch": 8, "clips_a_second": 12.345678},
            {"part": "speed", "batch": 16, "problem": "out of memory"},
        ],
        "left_out": ["images, S3D-G"],
    }
    page = make_page(results)
    assert "| batch | clips a second | problem |" in page
    assert "| 8 | 12.35 |  |" in page and "| 16 |  | out of memory |" in page
    assert "- images, S3D-G" in page and "No GPU was found" in page


@pytest.mark.slow
def test_every_part_runs_without_a_gpu(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "benchmarks.gpu", f"--output={tmp_path}", "--seconds=3000"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "TensorFlow finds no GPU" in done.stderr
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert not results["on_gpu"] and not results["left_out"]
    rows = results["rows"]
    assert {row["part"] for row in rows} == {"parity", "speed", "reading", "images", "export"}
    assert not [row for row in rows if "problem" in row]
    same = [r for r in rows if r["part"] == "parity" and r["precision"] in ("float32", "TF32")]
    assert all(row["lowest_cosine"] > 1 - 1e-5 for row in same)
    assert all(row["difference"] < 1e-3 for row in rows if row["part"] == "export")
    assert "no GPU" in (tmp_path / "report.md").read_text(encoding="utf-8")
