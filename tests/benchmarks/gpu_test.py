# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report on a GPU, on a machine without one."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from benchmarks.gpu.page import make_page
from benchmarks.gpu.process import PARTS, plan
from benchmarks.gpu.report import Report, described
from benchmarks.gpu.series import Series, attempt, run
from benchmarks.gpu.supervision import supervise
from benchmarks.gpu.work import REAL, SMALL, precision, timed
from tests.running import ROOT

CPU = "CPU:0"
BATCHES = tuple({"part": "speed", "batch": batch} for batch in (8, 16, 32))
FACTS = {"device": "no GPU", "gpus": 0, "cores": 2, "processor": "a processor", "tensorflow": "2"}


def fails(error):
    def measure(*unused):
        raise error

    return measure


def begun(folder, cases=BATCHES):
    report = Report.new(folder)
    report.begin(FACTS, cases)
    return report


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "out of memory"),
        (tf.errors.InternalError(None, None, "XLA: RESOURCE_EXHAUSTED: 3 GB"), "out of memory"),
        (
            tf.errors.UnimplementedError(None, None, "no such kernel\non this device"),
            "UnimplementedError: no such kernel on this device",
        ),
        (ZeroDivisionError("a mistake"), "ZeroDivisionError: a mistake"),
    ],
)
def test_a_failure_is_a_row(error, problem):
    assert attempt(fails(error), CPU) == {"problem": problem}


def test_figures_are_a_row():
    assert attempt(lambda: {"clips_a_second": 3.0}, CPU) == {"clips_a_second": 3.0}


def fills_at_16(case):
    if case["batch"] >= 16:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")
    return {"clips_a_second": 2.0}


def outcome(folder):
    results = Report.read(folder).results
    assert results["pending"] == [] and results["running"] is None
    found = {row["batch"]: row.get("problem", "measured") for row in results["rows"]}
    return found | {row["batch"]: row["reason"] for row in results["skipped"]}


def test_larger_batches_are_not_tried_once_the_memory_is_full(tmp_path):
    series = Series(BATCHES, lambda: contextlib.nullcontext(fills_at_16))
    run([series], begun(tmp_path), CPU, time.time() + 60)
    expected = {8: "measured", 16: "out of memory", 32: "the case before it failed"}
    assert outcome(tmp_path) == expected


def test_cases_that_do_not_depend_on_each_other_are_all_tried(tmp_path):
    series = Series(BATCHES, lambda: contextlib.nullcontext(fills_at_16), chained=False)
    run([series], begun(tmp_path), CPU, time.time() + 60)
    assert outcome(tmp_path) == {8: "measured", 16: "out of memory", 32: "out of memory"}


def test_what_cases_share_is_made_once_and_its_failure_is_reported(tmp_path):
    made = []

    @contextlib.contextmanager
    def prepare():
        made.append(True)
        yield lambda case: {}

    run([Series(BATCHES, prepare)], begun(tmp_path), CPU, time.time() + 60)
    assert made == [True] and set(outcome(tmp_path).values()) == {"measured"}
    run([Series(BATCHES, fails(OSError("full")))], begun(tmp_path), CPU, time.time() + 60)
    assert outcome(tmp_path)[8] == "OSError: full"


def test_once_the_time_is_up_no_case_is_started(tmp_path):
    calls = []

    def measure(case):
        calls.append(case)
        return {}

    series = Series(BATCHES, lambda: contextlib.nullcontext(measure))
    run([series], begun(tmp_path), CPU, time.time() - 1)
    assert calls == [] and set(outcome(tmp_path).values()) == {"no time was left"}


def test_each_result_is_on_the_disk_before_the_next_case(tmp_path):
    seen = []

    def measure(case):
        results = Report.read(tmp_path).results
        seen.append((results["running"]["case"], len(results["rows"])))
        return {}

    series = Series(BATCHES, lambda: contextlib.nullcontext(measure))
    run([series], begun(tmp_path), CPU, time.time() + 60)
    assert seen == list(zip(BATCHES, range(3), strict=True))


# A stand-in for the measuring process, without TensorFlow: starts the first case that is left.
PROCESS = """
import importlib.util, os, pathlib, signal, sys, time
spec = importlib.util.spec_from_file_location("report", "benchmarks/gpu/report.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)  # alone: the package imports TensorFlow
report = module.Report.read(pathlib.Path(sys.argv[1]))
for case in list(report.results["pending"]):
    report.start(case)
    exec(sys.argv[2])
    report.finish({})
"""


def supervised(folder, behavior, seconds=60.0, case_seconds=60.0):
    command = [sys.executable, "-c", PROCESS, str(folder), behavior]
    report = supervise(command, folder, time.time() + seconds, case_seconds)
    report.close(1.0)
    return outcome(folder)


def test_a_case_that_ends_its_process_is_reported_and_the_others_are_measured(tmp_path):
    begun(tmp_path)
    found = supervised(tmp_path, "case['batch'] == 16 and os.kill(os.getpid(), signal.SIGABRT)")
    assert found == {8: "measured", 16: "the process ended with SIGABRT", 32: "measured"}


def test_a_case_that_takes_too_long_is_stopped(tmp_path):
    begun(tmp_path)
    found = supervised(tmp_path, "case['batch'] == 8 and time.sleep(60)", case_seconds=0.5)
    assert found == {8: "stopped after 0.5 s", 16: "measured", 32: "measured"}


def test_at_the_end_the_process_is_stopped_and_the_rest_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.supervision._GRACE_SECONDS", 0.0)
    begun(tmp_path)
    found = supervised(tmp_path, "case['batch'] == 16 and time.sleep(60)", seconds=2.0)
    assert found == {8: "measured", 16: "no time was left", 32: "no time was left"}


def test_a_process_that_can_not_start_ends_the_report(tmp_path):
    begun(tmp_path)
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(ValueError, match="ended with status 3 outside a measurement"):
        supervise(command, tmp_path, time.time() + 60)


@pytest.mark.parametrize("setup", [REAL, SMALL], ids=["GPU", "CPU"])
def test_no_two_cases_have_the_same_description(setup):
    cases = [described(case) for series in plan(setup, ",".join(PARTS)) for case in series.cases]
    assert len(cases) == len(set(cases)) > 20


def test_a_precision_switches_tf32_and_leaves_it_as_it_was():
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    for name, expected in (("float32", False), ("TF32", True)):
        with precision(name) as policy:
            assert (policy, enabled()) == ("float32", expected)
        assert enabled() == before


def test_the_first_call_is_timed_apart():
    waits = iter([0.3, 0.0, 0.01, 0.01, 0.01])

    def call():
        time.sleep(next(waits))
        return tf.zeros([])

    found = timed(call, 3)
    assert found.first_seconds >= 0.3 and 0.01 <= found.seconds < 0.1
    assert next(waits, None) is None


def test_the_page_shows_every_row_and_what_was_left_out():
    results = {
        "facts": FACTS,
        "seconds": 9.0,
        "rows": [
            {"part": "speed", "batch": 8, "clips_a_second": 12.345678},
            {"part": "speed", "batch": 16, "problem": "out of memory", "peak_gb": 3.0},
        ],
        "skipped": [{"part": "speed", "batch": 32, "reason": "the case before it failed"}],
    }
    page = make_page(results)
    assert "| batch | clips a second |\n|--:|--:|\n| 8 | 12.35 |" in page
    assert "1 of 2 measurements have a problem" in page and "- speed, 16: out of memory\n" in page
    assert "- speed, 32: the case before it failed" in page and "No GPU was found" in page
    several = make_page({**results, "facts": {**FACTS, "gpus": 4}})
    assert "4 GPUs were found; only the first was used." in several
    assert "No GPU was found" not in several


@pytest.mark.slow
def test_every_part_runs_without_a_gpu(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "benchmarks.gpu", f"--output={tmp_path}", "--seconds=3000"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "TensorFlow finds no GPU" in done.stderr
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["facts"]["gpus"] == 0 and not results["skipped"]
    rows = results["rows"]
    assert {row["part"] for row in rows} == {"parity", "speed", "reading", "images", "export"}
    assert not [row for row in rows if "problem" in row]
    same = [r for r in rows if r["part"] == "parity" and r["precision"] in ("float32", "TF32")]
    assert all(row["cosine_distance"] < 1e-5 for row in same)
    assert all(row["difference"] < 1e-3 for row in rows if row["part"] == "export")
    assert "no GPU" in (tmp_path / "report.md").read_text(encoding="utf-8")
