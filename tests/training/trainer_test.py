# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import signal

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata

from mmv_tf import training
from mmv_tf.training import checkpoints, optimizer
from mmv_tf.training.logging import read_scalars
from mmv_tf.training.random_state import random_states, seed_everything
from mmv_tf.training.trainer import Trainer
from mmv_tf.util import files
from tests.training import linear_world

BATCH = 8


def make_trainer(directory, **changes):
    seed_everything(0, deterministic=False)
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = linear_world.LinearGraph()
    return Trainer(
        model,
        strategy,
        linear_world.settings(**changes),
        linear_world.optimizer_settings(),
        directory,
    )


def settings_shown(directory):
    """What TensorBoard's page of HParams has."""
    events = EventAccumulator(str(directory / "tensorboard" / directory.name))
    events.Reload()
    content = events.SummaryMetadata(hparams_metadata.SESSION_START_INFO_TAG)
    start = hparams_metadata.parse_session_start_info_plugin_data(content.plugin_data.content)
    kinds = {"string_value", "number_value", "bool_value"}
    return {
        name: next(getattr(v, kind) for kind in kinds if v.HasField(kind))
        for name, v in start.hparams.items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of eight steps."""
    run = tmp_path_factory.mktemp("whole")
    trainer = make_trainer(run, checkpoint_every_steps=2, keep_checkpoints=2)
    metrics = trainer.run(
        linear_world.dataset(BATCH),
        BATCH,
        hparams={"optimizer": {"learning_rate": 0.05}, "sizes": (1, 2)},
        skipped=lambda: {"no frames": 3},
    )
    return run, metrics, trainer.model.get_weights()


def test_the_loss_falls_and_progress_shows_it(tmp_path, capsys):
    values = {name: value[:BATCH] for name, value in linear_world.examples().items()}
    trainer = make_trainer(tmp_path, steps=30)
    first = make_trainer(tmp_path / "first", steps=1).run(
        linear_world.dataset(BATCH, values), BATCH
    )
    last = trainer.run(linear_world.dataset(BATCH, values), BATCH)
    assert last["loss"] < 0.7 * first["loss"]
    shown = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"train: 30/30 steps \(100%\), .* taken, loss=[\d.]+, clips/s=[\d.]+, waiting=\d+%", shown
    )


def test_tensorboard_has_every_term(whole):
    run, metrics, _ = whole
    found = read_scalars(run)
    assert {
        "train/loss",
        "train/loss/va",
        "train/loss/vt",
        "train/pairs/va",
        "train/learning_rate",
        "train/gradient_norm",
        "train/temperature",
        "train/nonfinite_steps",
        "train/clips_per_second",
        "train/input_wait_share",
        "train/skipped/no frames",
    } <= set(found)
    assert [step for step, _ in found["train/loss"]] == list(range(1, 9))
    assert found["train/loss"][-1][1] == pytest.approx(metrics["loss"])
    assert found["train/skipped/no frames"][-1] == (8, 3)
    assert found["train/temperature"][0][1] == pytest.approx(0.07)
    assert settings_shown(run) == {"optimizer.learning_rate": 0.05, "sizes": "(1, 2)"}
    both = metrics["loss/va"] + metrics["loss/vt"]
    assert metrics["loss"] == pytest.approx(both, rel=1e-5)


def test_the_newest_and_the_best_checkpoints_stay(whole):
    run, _, _ = whole
    kept = [path.name for path in sorted((run / "checkpoints").iterdir())]
    assert kept[-2:] == ["step-00000006", "step-00000008"]
    store = checkpoints.CheckpointStore(run)
    losses = {
        path: checkpoints.read_manifest(path)["metrics"].get("loss", np.inf)
        for path in store.paths()
    }
    assert store.best() == min(losses, key=losses.get)


def test_stopped_and_gone_on_with_equals_never_stopped(whole, tmp_path):
    """The iterator goes on inside a shuffled epoch; moments, step and schedule go on too."""
    make = linear_world.dataset(BATCH)
    stopped = make_trainer(tmp_path)
    steps = iter(range(1, 9))
    with pytest.raises(training.Preempted, match="step 5;"):
        # Asked during step 4; the next step's end is when it is answered.
        stopped.run(make, BATCH, skipped=lambda: _stop() if next(steps) == 4 else {})
    resumed = make_trainer(tmp_path)
    metrics = resumed.run(make, BATCH)
    assert metrics["loss"] == whole[1]["loss"]
    for one, other in zip(resumed.model.get_weights(), whole[2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed.run(make, BATCH) == {}, "no step was left"


def _stop():
    os.kill(os.getpid(), signal.SIGTERM)
    return {}


def test_a_stop_during_evaluation_is_answered_there(tmp_path):
    asked = []

    def evaluate(model, interrupted):
        assert not interrupted()
        _stop()
        asked.append(interrupted())
        return None

    trainer = make_trainer(tmp_path, evaluate_every_steps=2)
    with pytest.raises(training.Preempted, match="step 2;"):
        trainer.run(linear_world.dataset(BATCH), BATCH, evaluate)
    assert asked == [True]
    assert trainer.store.paths()[-1].name == "step-00000002"


def test_held_out_metrics_are_shown_and_choose_the_best(tmp_path):
    recalls = iter([0.1, 0.9, 0.3, 0.2])
    trainer = make_trainer(
        tmp_path,
        evaluate_every_steps=2,
        checkpoint_every_steps=2,
        keep_checkpoints=1,
        best_metric="held_out/R@1",
        best_is="most",
    )
    trainer.run(linear_world.dataset(BATCH), BATCH, lambda model, stop: {"R@1": next(recalls)})
    assert [path.name for path in trainer.store.paths()] == ["step-00000004", "step-00000008"]
    assert trainer.store.best().name == "step-00000004"
    assert [round(v, 3) for _, v in read_scalars(tmp_path)["held_out/R@1"]] == [0.1, 0.9, 0.3, 0.2]


def test_the_best_of_equals_is_the_first(tmp_path):
    store = checkpoints.CheckpointStore(tmp_path, 1, "m", "most")
    for step, value in enumerate((0.1, 0.5, float("nan"), 0.5, 0.2), start=1):
        store.save(step, tf.train.Checkpoint(variable=tf.Variable(1.0)), metrics={"m": value})
    assert [path.name for path in store.paths()] == ["step-00000002", "step-00000005"]
    assert store.best() == store.paths()[0]


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "manifest"])
def test_a_broken_newest_checkpoint_is_told_and_the_one_before_used(tmp_path, caplog, damage):
    variable = tf.Variable(1.0)
    store = checkpoints.CheckpointStore(tmp_path)
    for step in (1, 2):
        variable.assign(step)
        path = store.save(step, tf.train.Checkpoint(variable=variable))
    file = next(path.glob("*.data-*"))
    if damage == "cut":
        os.truncate(file, 3)
    elif damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"~")
    elif damage == "missing":
        file.unlink()
    else:
        (path / "checkpoint.json").write_text("{")
    assert store.restore(tf.train.Checkpoint(variable=variable)).step == 1
    assert float(variable) == 1.0
    assert "step-00000002 can't be read" in caplog.text
    os.truncate(next(store.paths()[0].glob("*.data-*")), 0)
    with pytest.raises(ValueError, match="None of the 2 checkpoints"):
        store.restore(tf.train.Checkpoint(variable=variable))


def test_what_a_killed_writer_left_is_not_a_checkpoint(tmp_path, monkeypatch):
    variable = tf.Variable(1.0)
    store = checkpoints.CheckpointStore(tmp_path)
    checkpoint = tf.train.Checkpoint(variable=variable)
    store.save(1, checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(files, "flush", _fail)
        with pytest.raises(KeyboardInterrupt):
            store.save(2, checkpoint)
    assert [path.name for path in store.paths()] == ["step-00000001"]
    assert store.restore(checkpoint).step == 1
    store.save(3, checkpoint)
    names = sorted(path.name for path in store.directory.iterdir())
    assert names == ["step-00000001", "step-00000003"]


def _fail(path):
    raise KeyboardInterrupt


def poisoned():
    values = linear_world.examples()
    values["audio"][5] = np.nan
    return linear_world.dataset(BATCH, values)


def test_a_loss_that_is_not_finite_stops_and_names_step_term_and_example(tmp_path):
    trainer = make_trainer(tmp_path, checkpoint_every_steps=1)
    with pytest.raises(
        training.NotFiniteError,
        match=r"not finite at step \d: loss, loss/va, .*; "
        r"the audio is not finite in examples: clip-5\.",
    ):
        trainer.run(poisoned(), BATCH)
    fresh = linear_world.LinearGraph()
    assert trainer.store.restore(tf.train.Checkpoint(weights=[v.value for v in fresh.variables]))
    assert all(np.isfinite(weight).all() for weight in fresh.get_weights())


def test_steps_that_are_not_finite_are_left_out_and_counted_if_allowed(tmp_path, caplog):
    trainer = make_trainer(tmp_path, nonfinite_limit=2)
    trainer.run(poisoned(), BATCH)
    counts = read_scalars(tmp_path)["train/nonfinite_steps"]
    assert counts[-1][1] >= 1
    assert caplog.text.count("The step was skipped") == counts[-1][1]
    assert all(np.isfinite(weight).all() for weight in trainer.model.get_weights())


def test_averages_are_what_a_finished_run_has(tmp_path):
    trainer = make_trainer(tmp_path, average_decay=0.9)
    trainer.run(linear_world.dataset(BATCH), BATCH)
    for weight, average in zip(
        trainer.model.get_weights(), trainer.train_step.averages.variables, strict=True
    ):
        np.testing.assert_array_equal(weight, average)


def test_a_profile_is_written(tmp_path):
    make_trainer(tmp_path, profile=(2, 3), steps=4).run(linear_world.dataset(BATCH), BATCH)
    assert list((tmp_path / "tensorboard").rglob("plugins/profile/*/*.xplane.pb"))


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="can't be split evenly"):
        make_trainer(tmp_path, accumulate=3).run(linear_world.dataset(BATCH), BATCH)
    with pytest.raises(ValueError, match="profile"):
        make_trainer(tmp_path, profile=(3, 2)).run(linear_world.dataset(BATCH), BATCH)
    make = linear_world.dataset(BATCH)
    with pytest.raises(ValueError, match="data ended before step 3 of 8"):
        make_trainer(tmp_path / "b").run(lambda start: make(start).take(2), BATCH)
    settings = linear_world.optimizer_settings(name="adamm")
    with pytest.raises(ValueError, match=r"optimizer\.name"):
        optimizer.make_optimizer(settings, 10)


def test_the_random_generators_go_on(tmp_path):
    seed_everything(1, deterministic=False)
    checkpoint = tf.train.Checkpoint(**random_states())
    checkpoint.write(str(tmp_path / "state"))
    drawn = np.random.random(), float(tf.random.get_global_generator().uniform([]))
    checkpoint.read(str(tmp_path / "state"))
    assert drawn == (np.random.random(), float(tf.random.get_global_generator().uniform([])))
