# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import numpy as np
import pytest

from mmv_tf.evaluation.results import Scored, write_results
from tests.evaluation import small_benchmarks
from tests.programs.program import ROOT, Program


@pytest.fixture(scope="module")
def run():
    program = Program("evaluate")
    yield program
    program.close()


def write(path, ranks):
    ids = np.array([f"item {i}" for i in range(len(ranks))])
    splits = np.full(len(ranks), "1")
    content = {"protocol": {"name": "esc10_linear", "version": 1}}
    write_results(content, {"test": Scored(ids, ids, splits, ranks=ranks)}, path)
    return path


@pytest.mark.slow
def test_two_runs_are_compared(tmp_path):
    ranks = np.random.default_rng(0).integers(1, 4, 200)
    a, b = write(tmp_path / "a.json", ranks), write(tmp_path / "b.json", np.ones(200, int))
    # As users start it: the two files are apart.
    done = subprocess.run(
        [sys.executable, "-m", "mmv_tf", "evaluate", "--compare", a, b,
         f"--output={tmp_path / 'c.json'}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the second is better" in done.stdout
    outcome = json.loads((tmp_path / "c.json").read_text())
    assert outcome["parts"]["test"]["top_1"]["significant"]


def test_a_benchmark_runs_and_mistakes_are_told(run, tmp_path, tiny_model):
    tiny_model.save(tmp_path / "model.keras")
    data = small_benchmarks.audioset(tmp_path / "data")
    arguments = [
        "--protocol=audioset_mlp",
        f"--model={tmp_path / 'model.keras'}",
        f"--data={data}",
        f"--output={tmp_path / 'out' / 'results.json'}",
        "--protocol.classifier.epochs=2",
        "--protocol.train_views.seconds=0.4",
        "--protocol.test_views.seconds=0.4",
    ]
    done = run(*arguments)
    assert done.status == 0, done.stderr
    assert "changed: classifier.epochs=2" in done.stdout
    assert "mAP" in done.stdout and "(1 classes skipped)" in done.stdout
    assert "paper: mAP 30.9 (TSM-50x2" in done.stdout
    assert "listed 4, scored 4, missing or unreadable 0" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["changed"][0] == "classifier.epochs=2"
    assert results["metrics"]["mAP"]["skipped_classes"] == 1
    assert (tmp_path / "out" / "results.items.npz").exists()

    next((data / "eval").glob("*.wav")).write_bytes(b"")
    done = run(*arguments)
    assert done.status == 1
    assert done.stderr.splitlines()[-1].startswith("error: 1 of the listed items can't be scored")
    assert "--allow_missing=1" in done.stderr
    assert run(*arguments, "--allow_missing=1").stdout.count("listed 4, scored 3") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol=esc10_linear"], "--model is missing"),
        (["--compare=a.json"], "expects two results files; got 1"),
        (["--protocol=esc11"], "esc11"),
        (["--protocol=narrated_world"], "python -m projects.narrated_world.evaluate"),
    ],
)
def test_wrong_usage_has_status_2(run, arguments, message):
    done = run(*arguments)
    assert done.status == 2
    assert message in done.stderr
