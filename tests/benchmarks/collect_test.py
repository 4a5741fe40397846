# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time

import pytest

from benchmarks import measure
from benchmarks.collect import (
    PAGE,
    RESULTS,
    ROOT,
    Run,
    RunError,
    collect,
    read_results,
    run_program,
)
from benchmarks.figures import FIGURES, RUNS, Figure
from benchmarks.peer import PeerError, fastest, forms
from benchmarks.performance_page import make_page, summary

FOUND = [
    Figure("speed of a step", "step", lambda r: r["ratio"], "memory", at_least=4.0),
    Figure("its size", "step", lambda r: r["gigabytes"], "weights", at_most=9.0, unit=" GB"),
    Figure("beside a peer", "step", lambda r: r["over_torch"], "its absence", at_least=1.0),
    Figure("another", "other", lambda r: r["x"], "nothing"),
]


@pytest.mark.slow
def test_programs_run_one_by_one_and_fill_the_table(tmp_path, capfd):
    """Two real programs, and one that fails between them."""
    runs = {
        "gather": Run("input_and_gather", ("--hosts=2", "--steps=4", "--host_batch_size=8")),
        "wrong": Run("input_and_gather", ("--hosts=none",)),
        "larger": Run("input_and_gather", ("--hosts=3", "--steps=4", "--host_batch_size=8")),
    }
    path = tmp_path / "new" / "results.json"
    failed = collect(runs, path)
    assert list(failed) == ["wrong"]
    assert "status 1" in failed["wrong"]
    results = read_results(path)
    assert list(results) == ["gather", "larger"]
    assert [result["inputs"]["hosts"] for result in results.values()] == [2, 3]
    assert "[2/3] wrong failed" in capfd.readouterr().err
    rates = [
        Figure(f"of {name}", name, lambda r: r["cases"][0]["ratio"], "chance", at_most=2.0)
        for name in runs
    ]
    page = make_page(results, rates)
    for name in ("gather", "larger"):
        value = results[name]["cases"][0]["ratio"]
        assert f"| of {name} | at most 2 x | {value:.3g} x | met | chance |" in page
    assert "| of wrong | at most 2 x | not measured |  | chance |" in page


def test_verdicts():
    where = {"instructions": ["avx2"], "cores": 2, "processor": "P"}
    where |= {"date": "2026-01-01", "busy_before": 0.5}
    results = {"step": {"ratio": 3.0, "gigabytes": 9.0, **where}}
    page = make_page(results, FOUND)
    assert "| speed of a step | at least 4 x | 3 x | **missed** by 25 % | memory |" in page
    assert "| its size | at most 9 GB | 9 GB | met | weights |" in page
    assert "| beside a peer | at least 1 x | not measured |  | its absence |" in page
    assert "2 cores of P (avx2), 2026-01-01" in page
    assert "are unreliable: step." in page
    assert summary(results, FOUND) == [
        "speed of a step: 3 x missed by 25 %",
        "its size: 9 GB met",
    ]


def test_results_that_are_none_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="not a file of results"):
        read_results(path)


@pytest.mark.slow
def test_a_missing_peer_is_told_with_how_to_install_it(tmp_path, capsys):
    collect({}, tmp_path / "results.json")
    assert not capsys.readouterr().err
    collect({"a": Run("no_such_program", torch=True)}, tmp_path / "results.json")
    assert "pip install torch" in capsys.readouterr().err


def test_the_committed_page_is_made_of_the_committed_results():
    """Else run `python -m benchmarks --norun`."""
    page = make_page(read_results(RESULTS), FIGURES)
    assert page == PAGE.read_text(encoding="utf-8")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_hung_program_ends_with_its_children(tmp_path):
    """The child would hold the output open for a minute."""
    code = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "child.wait()"
    )
    started = time.monotonic()
    with pytest.raises(RunError, match="not done after 2 s"):
        run_program([sys.executable, "-c", code], limit=2.0)
    assert time.monotonic() - started < 15
    pid, patience = int((tmp_path / "pid").read_text()), time.monotonic() + 10
    while alive(pid) and time.monotonic() < patience:  # being killed takes a moment
        time.sleep(0.05)
    assert not alive(pid)


@pytest.mark.slow
def test_after_ctrl_c_the_page_has_what_was_measured(tmp_path):
    """Nothing of the first program's; what an earlier run left stays."""
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    results.write_text(RESULTS.read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks", "--only=input_and_gather", "--only=start_up"]
    with subprocess.Popen(
        [*command, f"--output={results}", f"--page={page}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while "start_up: -m" not in said:
            said = process.stderr.readline()
            assert said, "it ended"
        time.sleep(2.0)  # past the look at how busy the machine is
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said.partition("Wrote")[2]
    assert read_results(results) == read_results(RESULTS)
    assert page.read_text() == PAGE.read_text()


PEER = """#!/bin/sh
case "$*" in
  *contiguous*eager*) kill -ALRM $$ ;;
  *contiguous*) exit 3 ;;
  *compiled*) seconds=0.25 ;;
  *) seconds=0.5 ;;
esac
echo '{"torch": "9.9"}'
while read -r _; do
  echo '{"seconds": '$seconds', "cpu_seconds": 1, "peak_bytes": 7}'
done
"""


def test_the_fastest_form_of_a_peer_is_kept_and_told_what_became_of_the_others(tmp_path):
    python = tmp_path / "python"
    python.write_text(PEER)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    peer, tried = fastest(str(python), {"work": "forward"}, forms(compiled=True), limit=9)
    assert tried == {
        "contiguous eager": "not finished in 9 s",
        "contiguous compiled": "ended with status 3",
        "channels_last eager": 0.5,
        "channels_last compiled": 0.25,
    }
    assert peer() == measure.Times(0.25, 1)
    assert peer.options["mode"] == "compiled"
    peer.close()
    with pytest.raises(PeerError, match="did not run"):
        fastest(str(python), {}, forms(compiled=False)[:1], limit=9)
    where = {"instructions": ["avx2"], "cores": 2, "processor": "P", "date": "2026-01-01"}
    result = {**where, "torch": {"torch": "9.9", "tried_seconds": tried}}
    page = make_page({"forward": result, "step": result}, [])
    assert "| contiguous eager | channels last eager |" in page
    assert "| step | not finished in 9 s | 0.5 | ended with status 3 | 0.25 |" in page


def test_every_figure_has_its_run_and_every_run_its_program():
    assert {figure.run for figure in FIGURES} <= set(RUNS)
    root = measure.pathlib.Path(measure.__file__).parents[1]
    for run in RUNS.values():
        module = run.command()[2]
        text = (root / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        for option in run.options:
            name = option.lstrip("-").partition("=")[0]
            assert f'"{name}"' in text, option


def test_runs_are_taken_in_turn_and_their_medians_found():
    order = []
    runs = {
        "a": lambda: order.append("a"),
        "b": lambda: measure.Times(float(len(order)), 7.0),
    }
    times = measure.interleaved(runs, rounds=3, warm=1)
    assert order == ["a"] * 4
    assert times["b"] == (3.0, 7.0)  # of 2, 3 and 4


def test_a_result_is_one_line_of_json(capsys):
    measure.print_result("name", {"size": 3}, {"a": measure.Times(1.23456, 2.0)}, ratio=5.0)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["seconds"] == {"a": 1.235}
    assert found["cpu_seconds"] == {"a": 2.0}
    assert found["ratio"] == 5.0
    assert found["threads"] == found["cores"] > 0
    assert found["processor"]
