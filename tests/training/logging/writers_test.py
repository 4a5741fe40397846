# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import logging

import ml_collections
import numpy as np
import pytest

from mmv_tf.training import logging as run_log
from mmv_tf.training.logging import writers
from mmv_tf.training.logging.writers import LoggedRun, Writers


class Recorder:
    """A writer that notes its calls, and fails from a call on."""

    def __init__(self, fails_at=None):
        self.calls, self.fails_at = [], fails_at

    def _note(self, name, *values):
        if name == self.fails_at:
            raise OSError("no route\nto https://ann:hunter2@tracking.example/api")
        self.calls.append((name, *values))

    def settings(self, settings):
        self._note("settings", settings)

    def scalars(self, step, values):
        self._note("scalars", step, dict(values))

    def images(self, step, images):
        self._note("images", step, list(images))

    def texts(self, step, texts):
        self._note("texts", step, dict(texts))

    def close(self):
        self._note("close")


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens recorders in place of two services."""

    def open_(**recorders):
        monkeypatch.setattr(
            writers, "_OPEN", {name: lambda run, r=r: r for name, r in recorders.items()}
        )
        return Writers(list(recorders), LoggedRun(tmp_path, "a run", "project"))

    return open_


def record(log):
    log.settings({"seed": 0})
    log.scalars(1, {"train/loss": 2.0})
    log.images(1, {"held_out/clips/1": np.zeros([2, 2, 3], np.uint8)})
    log.texts(1, {"held_out/nearest_sentences": "a"})
    log.close()


def test_every_writer_gets_everything(opened):
    first, second = Recorder(), Recorder()
    record(opened(tensorboard=first, mlflow=second))
    assert first.calls == second.calls
    assert [call[0] for call in first.calls] == ["settings", "scalars", "images", "texts", "close"]
    assert first.calls[1] == ("scalars", 1, {"train/loss": 2.0})


@pytest.mark.parametrize("call", ["settings", "scalars", "images", "texts", "close"])
def test_one_that_fails_is_dropped_with_one_warning(opened, call, caplog):
    good, bad = Recorder(), Recorder(fails_at=call)
    log = opened(wandb=bad, mlflow=good)
    record(log)
    assert [name for name, *_ in good.calls][-1] == "close" and len(good.calls) == 5
    assert call not in [name for name, *_ in bad.calls]
    assert [name for name, *_ in bad.calls] == [name for name, *_ in good.calls][: len(bad.calls)]
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "wandb failed" in warnings[0] and "tracking.example" in warnings[0]
    assert "no route to https" in warnings[0]
    assert "hunter2" not in warnings[0] and "ann" not in warnings[0]


def test_one_that_can_not_be_opened_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(run):
        raise RuntimeError("not logged in")

    good = Recorder()
    monkeypatch.setattr(writers, "_OPEN", {"wandb": refuse, "tensorboard": lambda run: good})
    record(Writers(["wandb", "tensorboard"], LoggedRun(tmp_path, "a run", "project")))
    assert len(good.calls) == 5
    assert "not logged in" in caplog.text


def test_no_secret_is_logged(opened):
    recorder = Recorder()
    opened(tensorboard=recorder).settings(
        {
            "data": {
                "service": "grpc://ann:hunter2@host:5000",
                "api_key": "abc",
                "access_token": "def",
                "password": "ghi",
            },
            "model": {"text": {"tokenizer": "word", "key": ""}, "dims": (1, 2)},
            "deterministic": True,
        }
    )
    (_, found), *_ = recorder.calls
    assert found == {
        "data.service": "grpc://(hidden)@host:5000",
        "data.api_key": "(hidden)",
        "data.access_token": "(hidden)",
        "data.password": "(hidden)",
        "model.text.tokenizer": "word",
        "model.text.key": "",
        "model.dims": "(1, 2)",
        "deterministic": True,
    }


def test_an_id_is_made_once(tmp_path):
    run = LoggedRun(tmp_path, "a run", "project")
    first = run.remembered_id("wandb")
    assert run.remembered_id("wandb") == first
    assert run.remembered_id("mlflow", lambda: "made") == "made"
    assert json.loads((tmp_path / "logging.json").read_text()) == {"wandb": first, "mlflow": "made"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"writers": ("tensorbord",)}, "'tensorbord'; choose from tensorboard, wandb, mlflow"),
        ({"clips": -1}, "clips is -1; expected 0 to 32"),
        ({"clips": 33}, "clips is 33"),
        ({"name": "a/b"}, "without '/'"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    training = ml_collections.ConfigDict({"logging": run_log.default_config()})
    training.logging.update(changes)
    with pytest.raises(ValueError, match=message):
        run_log.check(training)


def test_a_service_that_is_not_installed_is_told_with_the_remedy(monkeypatch):
    training = ml_collections.ConfigDict({"logging": {"writers": ("wandb",)}})
    monkeypatch.setattr(run_log.settings.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "mmv_tf\[wandb\]"'):
        run_log.check(training)


def test_settings_of_an_earlier_version_are_the_default():
    found = run_log.settings_of(ml_collections.ConfigDict({"steps": 3}))
    assert found == run_log.default_config().lock()
    partly = ml_collections.ConfigDict({"logging": {"clips": 0}})
    assert run_log.settings_of(partly).writers == ("tensorboard",)
    assert run_log.settings_of(partly).clips == 0
