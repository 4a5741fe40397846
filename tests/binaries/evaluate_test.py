# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import numpy as np
import pytest

from binaries import evaluate
from mmv_tf.evaluation.results import Scored, write_results
from tests.evaluation import small_benchmarks


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "binaries.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def write(path, ranks):
    ids = np.array([f"item {i}" for i in range(len(ranks))])
    splits = np.full(len(ranks), "1")
    content = {"protocol": {"name": "esc10_linear", "version": 1}}
    write_results(content, {"test": Scored(ids, ids, splits, ranks=ranks)}, path)
    return path


def test_two_runs_are_compared(tmp_path):
    ranks = np.random.default_rng(0).integers(1, 4, 200)
    a, b = write(tmp_path / "a.json", ranks), write(tmp_path / "b.json", np.ones(200, int))
    done = run("--compare", a, b, f"--output={tmp_path / 'c.json'}")
    assert done.returncode == 0, done.stderr
    assert "the second is better" in done.stdout
    outcome = json.loads((tmp_path / "c.json").read_text())
    assert outcome["parts"]["test"]["top_1"]["significant"]


def test_a_benchmark_runs_and_mistakes_are_told(tmp_path, tiny_model):
    tiny_model.save(tmp_path / "model.keras")
    data = small_benchmarks.esc(tmp_path / "data")
    arguments = [
        "--protocol=esc10_linear",
        f"--model={tmp_path / 'model.keras'}",
        f"--data={data}",
        f"--output={tmp_path / 'out' / 'results.json'}",
    ]
    small = ["--set=splits=('1','2')", "--C=0.001"]
    for views in ("train_views", "test_views"):
        small += [f"--set={views}.windows=2", f"--set={views}.seconds=0.4"]
    done = run(*arguments, *small)
    assert done.returncode == 0, done.stderr
    assert "listed 8, scored 8, missing or unreadable 0" in done.stdout
    assert "changed: splits=('1','2')" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["changed"][0] == "splits=('1','2')"
    assert (tmp_path / "out" / "results.items.npz").exists()

    next(data.rglob("*.wav")).write_bytes(b"")
    done = run(*arguments, *small)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: 1 of the listed items can't be scored")
    assert "--allow_missing=1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol=esc10_linear"], "--model is missing"),
        (["--compare=a.json"], "takes two results files, got 1"),
        (["--protocol=esc11"], "esc11"),
    ],
)
def test_wrong_usage_has_status_2(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_table_shows_what_the_paper_reports():
    metric = {"value": 0.5, "interval": [0.4, 0.6]}
    text = evaluate.format_benchmark(
        {
            "protocol": {"name": "p", "version": 3},
            "changed": [],
            "counts": {"listed": {"test": 9}, "scored": {"test": 8}, "missing": ["a"],
                       "unreadable": {}},
            "metrics": {"top_1": metric, "mAP": {**metric, "skipped_classes": 2}},
            "reported": [{"metric": "top_1", "network": "N", "value": 0.62, "where": "PAPER"}],
        }
    )  # fmt: skip
    assert "p version 3" in text
    assert "50.00   40.00 to 60.00" in text
    assert "(2 classes skipped)" in text
    assert "paper: top_1 62.0 (N; PAPER)" in text
    assert "listed 9, scored 8, missing or unreadable 1" in text


def test_files_to_compare_may_be_apart():
    joined = evaluate.join_compared(["evaluate", "--compare", "a.json", "b.json", "--output=c"])
    assert joined == ["evaluate", "--compare=a.json,b.json", "--output=c"]
    same = ["evaluate", "--compare=a.json,b.json"]
    assert evaluate.join_compared(same) == same
