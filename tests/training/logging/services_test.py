# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Weights & Biases, offline, and MLflow, with its database; both only where they are installed."""

import json

import numpy as np
import pytest

from mmv_tf.training.logging.writers import LoggedRun, Writers

IMAGE = np.random.default_rng(0).integers(0, 256, [6, 8, 3], np.uint8)
TEXTS = {"held_out/nearest_sentences": "| a |"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    return LoggedRun(tmp_path / "run", "a run", "a project")


def write(name, run, step, caplog):
    log = Writers([name], run)
    if step == 1:
        log.settings({"seed": 7, "training": {"steps": 2}})
    log.scalars(step, {"train/loss": 1.0 / step, "held_out/text_to_video/R@1": 0.5})
    log.scalars(step, {"train/learning_rate": float("nan")})
    log.images(step, {"held_out/clips/1": IMAGE})
    log.texts(step, TEXTS)
    log.close()
    assert "Logging to" not in caplog.text


def test_mlflow_has_everything_and_a_resumed_run_goes_on_in_it(run, caplog, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write("mlflow", run, 1, caplog)
    write("mlflow", run, 2, caplog)
    client = mlflow.MlflowClient(f"sqlite:///{run.directory / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("a project")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "a run" and found.info.status == "FINISHED"
    assert found.data.params == {"seed": "7", "training.steps": "2"}
    losses = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in losses] == [(1, 1.0), (2, 0.5)]
    assert found.data.metrics["held_out/text_to_video/R_at_1"] == 0.5
    files = [path.name for path in (run.directory / "mlflow").rglob("*") if path.is_file()]
    assert {"00000001.md", "00000002.md"} <= set(files)
    assert sum(name.endswith(".png") for name in files) == 2
    outside = [path.name for path in run.directory.parent.iterdir() if path.name != "run"]
    assert outside == []


def test_wandb_has_everything_offline(run, caplog, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    write("wandb", run, 1, caplog)
    (folder,) = (run.directory / "wandb").glob("offline-run-*")
    identity = json.loads((run.directory / "logging.json").read_text())["wandb"]
    (log,) = folder.glob(f"run-{identity}.wandb")
    content = log.read_bytes()
    for expected in (b"train/loss", b"held_out/text_to_video/R@1", b"a run", b"a project", b"seed"):
        assert expected in content, expected
    media = [path.suffix for path in (folder / "files" / "media").rglob("*") if path.is_file()]
    assert sorted(media) == [".html", ".png"]
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"0123456789" * 4 not in everything
