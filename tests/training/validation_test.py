# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""When a run is evaluated, on what, and when it stops because of it."""

import os
import re
import signal
import types

import ml_collections
import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.data import default_config
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.training import checkpoints, validation
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.trainer import Trainer
from mmv_tf.training.validation import EarlyStop
from tests.training import linear_world
from tests.training.manifests import write

BATCH = 8
METRIC = "held_out/video_to_audio/R@1"


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [
        (-1, 300, list(range(30, 301, 30))),
        (-1, 25, [3, 6, 9, 12, 15, 18, 21, 24, 25]),
        (-1, 3, [1, 2, 3]),
        (-1, 0, []),
        (4, 10, [4, 8, 10]),
        (0, 10, []),
    ],
)
def test_when_it_is_due(every, steps, expected):
    settings = linear_world.settings(evaluate_every_steps=every, steps=steps)
    assert [step for step in range(steps + 1) if validation.is_due(settings, step)] == expected


def test_a_wrong_interval_is_refused():
    settings = linear_world.settings(evaluate_every_steps=-2)
    with pytest.raises(ValueError, match=r"steps is -2; .* or -1 for about 10 evaluations"):
        validation.steps_between(settings)


def run_config(*mixture, directory="", split="train", **changes):
    data = default_config()
    data.update(directory=str(directory), split=split)
    data.mixture = mixture
    return ml_collections.ConfigDict({"data": data, "training": linear_world.settings(**changes)})


def chosen(config):
    held_out = HeldOutRetrieval(config.data, config.training.evaluate_split, 8)
    found = validation.choose_parts(config, held_out)
    return None if found is None else list(found.parts)


def test_data_without_the_split_or_with_one_clip_are_not_evaluated(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path / "good", train=9, validation=2)
    assert chosen(run_config(directory=tmp_path / "good")) == [""]
    assert not caplog.messages
    write(tmp_path / "one", train=9, validation=1)
    write(tmp_path / "none", train=9)
    for name, said in (
        ("one", "The split 'validation' of .* has 1 clip, but at least 2 are needed"),
        ("none", "There is no split 'validation' in .*: it has train;"),
    ):
        assert chosen(run_config(directory=tmp_path / name)) is None
        (line,) = caplog.messages
        assert line.startswith("No evaluation during training: ")
        assert re.search(said, line)
        caplog.clear()
    foreign = {"directory": str(tmp_path / "one"), "records": "dmvr"}
    assert chosen(run_config(foreign)) is None
    assert "dmvr records have no manifest" in caplog.text


def test_clips_that_are_trained_on_are_not_held_out(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path / "data", train=9, validation=2)
    assert chosen(run_config(directory=tmp_path / "data", split="train+validation")) is None
    (line,) = caplog.messages
    assert "the run trains on the split 'validation'" in line and "is not held out" in line
    asked = run_config(directory=tmp_path / "data", split="validation", evaluate_every_steps=2)
    assert chosen(asked) == [""], "who asks for it gets it"


def test_the_rest_of_a_mixture_is_evaluated(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path / "films", train=9)
    write(tmp_path / "sounds", train=9, validation=3)
    entries = [
        {"directory": str(tmp_path / name), "evaluate_split": "validation"}
        for name in ("films", "sounds")
    ]
    assert chosen(run_config(*entries)) == ["sounds"]
    assert len(caplog.messages) == 1


def test_nothing_is_evaluated_where_nobody_wants_it(tmp_path):
    write(tmp_path / "data", train=9, validation=3)
    assert chosen(run_config(directory=tmp_path / "data", evaluate_every_steps=0)) is None
    assert validation.choose_parts(run_config(directory=tmp_path / "data"), None) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_after": -1}, "stop_after is -1; expected a number of evaluations, or 0"),
        ({"stop_after": 1}, "needs held-out clips, but training.best_metric is 'loss'; set it"),
        (
            {"stop_after": 1, "best_metric": METRIC},
            "best_is is 'least', but the best .*/R@1 is the greatest; set it to 'most'",
        ),
        (
            {"stop_after": 1, "best_metric": "held_out/a/median_rank", "best_is": "most"},
            "is the least; set it to 'least'",
        ),
        (
            {"stop_after": 1, "best_metric": "held_out/video_to_sound/R@1", "best_is": "most"},
            "no evaluation computes; nearest: held_out/video_to_audio/R@1",
        ),
        (
            {"stop_after": 1, "best_metric": METRIC, "best_is": "most", "evaluate_every_steps": 0},
            "needs held-out clips, but nothing is evaluated during training",
        ),
        (
            {"stop_after": 1, "best_metric": METRIC, "best_is": "most", "evaluate_split": "dev"},
            "needs held-out clips, but There is no split 'dev' in",
        ),
    ],
)
def test_early_stopping_that_can_not_be_is_refused(tmp_path, changes, message):
    write(tmp_path / "data", train=9, validation=3)
    with pytest.raises(ValueError, match=message):
        chosen(run_config(directory=tmp_path / "data", **changes))


def test_evaluations_without_improvement_are_counted_and_kept():
    stop = EarlyStop(2, "held_out/m", "most")
    for step, value in enumerate((0.1, 0.4, 0.4), start=1):
        stop.update(step, {"held_out/m": value})
    assert (stop.best, stop.best_step, stop.waited, stop.is_over) == (0.4, 2, 1, False)
    again = EarlyStop(2, "held_out/m", "most")
    again.deserialize(stop.serialize())
    again.update(4, {"held_out/m": float("nan")})
    assert (again.best, again.best_step, again.evaluated, again.is_over) == (0.4, 2, 4, True)
    least = EarlyStop(1, "held_out/m", "least")
    for step, value in enumerate((3.0, 2.0, 2.5), start=1):
        least.update(step, {"held_out/m": value})
    assert (least.best_step, least.is_over) == (2, True)
    with pytest.raises(
        ValueError, match="the evaluation of step 5 computed held_out/n; choose one"
    ):
        least.update(5, {"held_out/n": 1.0})


# ---- Runs ------------------------------------------------------------------------------------


def make_trainer(directory, **changes):
    seed_everything(0, deterministic=False)
    strategy = training.make_strategy("one_device")
    with strategy.scope():
        model = linear_world.LinearGraph()
    settings = linear_world.settings(evaluate_every_steps=1, log_every=100, **changes)
    return Trainer(model, strategy, settings, linear_world.optimizer_settings(), directory)


def stopping(**changes):
    return {"stop_after": 2, "best_metric": METRIC, "best_is": "most", **changes}


def train(trainer, evaluate, **arguments):
    return trainer.run(linear_world.dataset(BATCH), BATCH, evaluate, **arguments)


@pytest.fixture(scope="module")
def every_step(tmp_path_factory):
    """The weights after each of eight steps of a run, with and without averages."""
    found = types.SimpleNamespace()
    for name, decay in (("plain", 0.0), ("averaged", 0.5)):
        weights = []
        trainer = make_trainer(tmp_path_factory.mktemp(name), average_decay=decay)
        train(trainer, lambda model, stop, to=weights: to.append(model.get_weights()) or {})
        setattr(found, name, weights)
    return found


class Scripted:
    """An evaluation that finds given recalls, by the weights' step.

    Attributes:
      evaluated: steps, in order.
    """

    def __init__(self, weights, recalls):
        self._steps = {w[0].tobytes(): step for step, w in enumerate(weights, start=1)}
        self._recalls = recalls
        self.evaluated = []

    def __call__(self, model, interrupted):
        if interrupted():
            return None
        step = self._steps[model.get_weights()[0].tobytes()]
        self.evaluated.append(step)
        return {METRIC.removeprefix("held_out/"): self._recalls[step - 1]}


RECALLS = [0.1, 0.5, 0.3, 0.5, 0.9, 0.9, 0.9, 0.9]


def assert_weights(model, expected):
    for one, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["plain", "averaged"])
def test_a_run_stops_and_has_the_best_weights(every_step, tmp_path, caplog, kind):
    caplog.set_level("INFO")
    weights = getattr(every_step, kind)
    trainer = make_trainer(
        tmp_path, **stopping(keep_checkpoints=1), average_decay=0.5 * (kind == "averaged")
    )
    evaluate = Scripted(weights, RECALLS)
    metrics = train(trainer, evaluate)
    assert evaluate.evaluated == [1, 2, 3, 4], "an equal value is no improvement"
    assert metrics["best_step"] == 2 and np.isfinite(metrics["loss"])
    assert_weights(trainer.model, weights[1])
    assert [path.name for path in trainer.store.paths()] == ["step-00000002", "step-00000004"]
    assert "Step 2, held-out clips: video_to_audio/R@1 0.5." in caplog.messages
    assert caplog.messages[-2:] == [
        f"Stopped at step 4 of 8: {METRIC} has not improved for 2 evaluations.",
        "The model has the weights of the best step, 2.",
    ]
    again = make_trainer(
        tmp_path, **stopping(keep_checkpoints=1), average_decay=0.5 * (kind == "averaged")
    )
    assert train(again, evaluate) == {}, "no step was left"
    assert_weights(again.model, weights[1])


def test_a_run_to_the_last_step_has_the_best_weights_too(every_step, tmp_path):
    trainer = make_trainer(tmp_path, **stopping(stop_after=5))
    assert train(trainer, Scripted(every_step.plain, RECALLS))["best_step"] == 5
    assert_weights(trainer.model, every_step.plain[4])


def test_without_stopping_the_best_step_is_told_and_the_last_weights_are_kept(every_step, tmp_path):
    trainer = make_trainer(tmp_path, best_metric=METRIC, best_is="most")
    assert train(trainer, Scripted(every_step.plain, RECALLS))["best_step"] == 5
    assert_weights(trainer.model, every_step.plain[7])


def _stop():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["step", "evaluation"])
@pytest.mark.parametrize("asked", [2, 3, 4, 8])
def test_stopped_and_gone_on_with_equals_never_stopped(every_step, tmp_path, moment, asked):
    """The evaluation that a stop has kept from being made is made up for."""
    recalls = RECALLS if asked < 8 else [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    evaluate = Scripted(every_step.plain, recalls)
    steps = iter(range(1, 9))

    def skipped():
        if next(steps) == asked and moment == "step":
            _stop()
        return {}

    def interrupted(model, stop):
        if moment == "evaluation" and evaluate.evaluated[-1:] == [asked - 1]:
            _stop()
        return evaluate(model, stop)

    with pytest.raises(training.Preempted, match=f"step {asked};"):
        train(make_trainer(tmp_path, **stopping()), interrupted, skipped=skipped)
    trainer = make_trainer(tmp_path, **stopping())
    train(trainer, evaluate)
    last, best = (8, 8) if asked == 8 else (4, 2)
    assert evaluate.evaluated == list(range(1, last + 1))
    assert checkpoints.step_of(trainer.store.best()) == best
    assert_weights(trainer.model, every_step.plain[best - 1])


def test_a_damaged_best_checkpoint_is_told(every_step, tmp_path, caplog):
    evaluate = Scripted(every_step.plain, RECALLS)
    train(make_trainer(tmp_path, **stopping()), evaluate)
    os.truncate(next((tmp_path / "checkpoints" / "step-00000002").glob("state.data-*")), 3)
    trainer = make_trainer(tmp_path, **stopping())
    train(trainer, evaluate)
    assert "step-00000002 can't be read" in caplog.text
    assert caplog.messages[-1].endswith("the model has the weights of step 4.")
    assert_weights(trainer.model, every_step.plain[3])


def test_metrics_that_are_not_found_are_named(tmp_path):
    with pytest.raises(ValueError, match="needs held-out clips, but nothing is evaluated"):
        train(make_trainer(tmp_path, **stopping()), None)
    with pytest.raises(ValueError, match="step 1 computed none: too few clips have two modalities"):
        train(make_trainer(tmp_path / "none", **stopping()), lambda model, stop: {})
