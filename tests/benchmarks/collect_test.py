# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from benchmarks import measure
from benchmarks.collect import Run, collect, read_results
from benchmarks.figures import FIGURES, RUNS, Figure
from benchmarks.performance_page import make_page, summary

FOUND = [
    Figure("speed of a step", "step", lambda r: r["ratio"], "memory", at_least=4.0),
    Figure("its size", "step", lambda r: r["gigabytes"], "weights", at_most=9.0, unit=" GB"),
    Figure("beside a peer", "step", lambda r: r["over_torch"], "its absence", at_least=1.0),
    Figure("another", "other", lambda r: r["x"], "nothing"),
]


def test_programs_run_one_by_one_and_fill_the_table(tmp_path, capfd):
    """Two real programs, and one that fails between them."""
    runs = {
        "gather": Run("input_and_gather", ("--hosts=2", "--steps=4", "--clips=8")),
        "wrong": Run("input_and_gather", ("--hosts=none",)),
        "larger": Run("input_and_gather", ("--hosts=3", "--steps=4", "--clips=8")),
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
    assert "are not to be trusted: step." in page
    assert summary(results, FOUND) == [
        "speed of a step: 3 x missed by 25 %",
        "its size: 9 GB met",
    ]


def test_results_that_are_none_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="no file of results"):
        read_results(path)


def test_a_missing_peer_is_told_with_how_to_install_it(tmp_path, capsys):
    collect({}, tmp_path / "results.json")
    assert not capsys.readouterr().err
    collect({"a": Run("no_such_program", torch=True)}, tmp_path / "results.json")
    assert "pip install torch" in capsys.readouterr().err


def test_every_figure_has_its_run_and_every_run_its_program():
    assert {figure.run for figure in FIGURES} <= set(RUNS)
    root = measure.pathlib.Path(measure.__file__).parent
    for run in RUNS.values():
        text = (root / f"{run.module}.py").read_text(encoding="utf-8")
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
