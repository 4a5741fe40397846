# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Validation during training: when, on which data, and when to stop because of it."""

from __future__ import annotations

import difflib
import json
import logging
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf

from mmv_tf.data.reading.mixing import parts_of
from mmv_tf.training import preflight, run_folder, workers
from mmv_tf.training.checkpoints import BrokenCheckpointError, step_of

logger = logging.getLogger(__name__)

# Value of `training.evaluate_every_steps` for about ten evaluations, if the data allow them.
AUTOMATIC = -1
_TIMES = 10

# Metrics of held-out clips, in checkpoints, logs and `training.best_metric`.
PREFIX = "held_out/"


def steps_between(training: ml_collections.ConfigDict) -> int:
    """Return the number of steps between evaluations; 0 for no evaluation.

    Raises:
      ValueError: `training.evaluate_every_steps` is below -1.
    """
    every: int = training.evaluate_every_steps
    if every < AUTOMATIC:
        raise ValueError(
            f"training.evaluate_every_steps is {every}; expected a number of steps, 0 for no "
            f"evaluation or {AUTOMATIC} for about {_TIMES} evaluations in the run."
        )
    return every if every != AUTOMATIC else max(1, math.ceil(training.steps / _TIMES))


def is_due(training: ml_collections.ConfigDict, step: int) -> bool:
    """Return whether to evaluate after a step, counted from 1."""
    every = steps_between(training)
    return every > 0 and step > 0 and (step % every == 0 or step == training.steps)


def required_parts(
    training: ml_collections.ConfigDict, evaluate: Any
) -> tuple[ml_collections.ConfigDict, ...]:
    """Return the reader settings for an evaluation that was requested, not an automatic one."""
    asked = evaluate is not None and training.evaluate_every_steps > 0
    return tuple(getattr(evaluate, "parts", {}).values()) if asked else ()


def choose_parts(config: ml_collections.ConfigDict, evaluate: Any) -> Any:
    """Return an evaluation, or None if there is none to run.

    An automatic evaluation omits, and logs, data sets that lack the split, have fewer than two
    clips in it, or train on it.

    Args:
      config: the run's configuration; see `configs/`.
      evaluate: see `Trainer.run`; those data sets are removed from its attribute `parts`, if it has
        one: name -> reader settings. Its attribute `names`, if it has one, lists the metrics that
        it may return.

    Raises:
      ValueError: early stopping needs an evaluation that does not exist, or another metric.
    """
    training = config.training
    if steps_between(training) == 0:
        evaluate = None
    parts: dict[str, ml_collections.ConfigDict] | None = getattr(evaluate, "parts", None)
    reasons = ["nothing is evaluated during training"]
    if parts is not None and training.evaluate_every_steps == AUTOMATIC:
        reasons = []
        for name, reader in list(parts.items()):
            problems = preflight.evaluation_problems(reader) or _trained_on(config.data, reader)
            if problems:
                del parts[name]
                reasons += [problem.rstrip(".") for problem in problems]
                logger.info("No evaluation during training: %s.", reasons[-1])
        evaluate = evaluate if parts else None
    problems = stopping_problems(training.stop_after, training.best_metric, training.best_is)
    if training.stop_after and not problems:
        if evaluate is None:
            problems = [f"training.stop_after needs held-out clips, but {'; '.join(reasons)}"]
        else:
            problems = _unknown_metric(training.best_metric, getattr(evaluate, "names", None))
    if problems:
        raise ValueError(f"{'; '.join(problems)}.")
    return evaluate


def _trained_on(data: ml_collections.ConfigDict, reader: ml_collections.ConfigDict) -> list[str]:
    """Return an error if training reads the clips of an evaluation."""
    own = pathlib.Path(reader.directory).resolve()
    for part in parts_of(data):
        same = pathlib.Path(part.config.directory).resolve() == own
        both = set(part.config.split.split("+")) & set(reader.split.split("+"))
        if same and both:
            return [
                f"the run trains on the split {min(both)!r} of {reader.directory} "
                f"(data.split={part.config.split!r}), so that split is not held out"
            ]
    return []


def _unknown_metric(metric: str, names: Sequence[str] | None) -> list[str]:
    """Return an error if no evaluation computes a metric."""
    if names is None or metric.removeprefix(PREFIX) in names:
        return []
    near = difflib.get_close_matches(metric.removeprefix(PREFIX), names, n=1, cutoff=0.0)
    hint = f"; nearest: {PREFIX}{near[0]}" if near else ""
    return [f"training.best_metric is {metric!r}, which no evaluation computes{hint}"]


class EarlyStop(tf.train.experimental.PythonState):
    """A count of evaluations without improvement, which checkpoints store.

    Args:
      patience: number of evaluations in a row without improvement after which to stop; 0 for never.
      metric: the metric's name, such as "held_out/video_to_audio/R@1".
      best_is: "least" or "most".

    Attributes:
      best: the best value so far; None before the first evaluation.
      best_step: the best value's step.
      waited: number of evaluations since then.
      evaluated: step of the last evaluation.

    Raises:
      ValueError: the settings contradict each other.
    """

    def __init__(self, patience: int, metric: str, best_is: str):
        problems = stopping_problems(patience, metric, best_is)
        if problems:
            raise ValueError(f"{'; '.join(problems)}.")
        self.patience = patience
        self.metric = metric
        self._sign = 1.0 if best_is == "most" else -1.0
        self.best: float | None = None
        self.best_step = self.waited = self.evaluated = 0

    @property
    def is_on(self) -> bool:
        """True if the run may stop early, and ends with the best weights."""
        return self.patience > 0

    @property
    def is_over(self) -> bool:
        """True if the run should stop."""
        return self.is_on and self.waited >= self.patience

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Count an evaluation.

        Raises:
          ValueError: the metric is not among those computed.
        """
        if not self.is_on:
            return
        if self.metric not in metrics:
            names = ", ".join(sorted(metrics)) or "none: too few clips have two modalities"
            raise ValueError(
                f"training.best_metric is {self.metric!r}, which training.stop_after needs, but "
                f"the evaluation of step {step} computed {names}; choose one of these."
            )
        value = float(metrics[self.metric])
        self.evaluated = step
        # A value of NaN never improves.
        if math.isfinite(value) and (self.best is None or self._sign * (value - self.best) > 0):
            self.best, self.best_step, self.waited = value, step, 0
        else:
            self.waited += 1

    def serialize(self) -> str:
        """Return the state as JSON."""
        return json.dumps([self.best, self.best_step, self.waited, self.evaluated])

    def deserialize(self, string_value: str | bytes) -> None:
        """Set the state from the result of `serialize`."""
        self.best, self.best_step, self.waited, self.evaluated = json.loads(string_value)


def stopping_problems(patience: int, metric: str, best_is: str) -> list[str]:
    """Return errors in the early-stopping settings."""
    if patience < 0:
        return [
            f"training.stop_after is {patience}; expected a number of evaluations, or 0 to train "
            "all steps"
        ]
    if patience == 0:
        return []
    if not metric.startswith(PREFIX):
        return [
            f"training.stop_after needs held-out clips, but training.best_metric is {metric!r}; "
            f"set it to a held-out metric, such as {PREFIX}video_to_audio/median_rank"
        ]
    expected = {"R@": "most", "median_rank": "least", "mean_rank": "least", "loss": "least"}
    for end, better in expected.items():
        if metric.rpartition("/")[2].startswith(end) and best_is != better:
            return [
                f"training.best_is is {best_is!r}, but the best {metric} is the "
                f"{'greatest' if better == 'most' else 'least'}; set it to {better!r}"
            ]
    return []


class Validation:
    """A run's evaluations: made by the first worker, shared with all.

    Args:
      training: training settings.
      strategy: the run's strategy.

    Attributes:
      early_stop: count of evaluations without improvement.
      chooses_best: whether the best checkpoint is that of the best evaluation.

    Raises:
      ValueError: as for `EarlyStop`.
    """

    def __init__(self, training: ml_collections.ConfigDict, strategy: tf.distribute.Strategy):
        self._training = training
        self._strategy = strategy
        self._worker, _ = workers.worker_and_workers(strategy)
        self.early_stop = EarlyStop(training.stop_after, training.best_metric, training.best_is)
        self.chooses_best: bool = training.best_metric.startswith(PREFIX)

    @property
    def state(self) -> dict[str, Any]:
        """The state for checkpoints, by name; empty without early stopping."""
        return {"early_stop": self.early_stop} if self.early_stop.is_on else {}

    def is_missed(self, step: int) -> bool:
        """Return whether early stopping lacks a step's evaluation.

        This happens if the run was asked to stop during that step.
        """
        lacks = self.early_stop.is_on and self.early_stop.evaluated != step
        return lacks and is_due(self._training, step)

    def run(
        self,
        step: int,
        evaluate: Callable[[], Mapping[str, float] | None],
        stop: Callable[[], bool],
    ) -> tuple[dict[str, float], bool]:
        """Evaluate after a step.

        Args:
          step: the step.
          evaluate: returns metrics, or None if it was interrupted.
          stop: returns whether this worker is asked to stop.

        Returns:
          On all workers, the first worker's metrics, with `PREFIX`, and whether it was asked to
          stop. No metrics if it was interrupted.
        """
        found = evaluate() if self._worker == 0 else None
        metrics = None if found is None else {name: float(found[name]) for name in found}
        said = json.dumps({"metrics": metrics, "stop": stop()})
        first = json.loads(workers.gather_texts(self._strategy, said)[0])
        if first["metrics"] is None:
            return {}, first["stop"]
        held_out = {f"{PREFIX}{name}": value for name, value in first["metrics"].items()}
        if self._worker == 0:
            logger.info("Step %d, held-out clips: %s.", step, _summary(first["metrics"]))
        self.early_stop.update(step, held_out)
        return held_out, first["stop"]

    def take_best(self, model: keras.Model, best: pathlib.Path, step: int) -> bool:
        """Set a model's weights to the best checkpoint's if the run may stop early.

        Args:
          model: the run's model.
          best: the best checkpoint's folder.
          step: the run's last step.

        Returns:
          False if the checkpoint is damaged, which is reported by a warning.
        """
        if not self.early_stop.is_on:
            return True
        early_stop, steps = self.early_stop, self._training.steps
        if early_stop.is_over and step < steps:
            logger.info(
                "Stopped at step %d of %d: %s has not improved for %d evaluations.",
                step,
                steps,
                early_stop.metric,
                early_stop.waited,
            )
        try:
            run_folder.restore_weights(model, best)
        except BrokenCheckpointError as error:
            logger.warning(
                "The best checkpoint %s can't be read (%s): the model has the weights of step %d.",
                best,
                error,
                step,
            )
            return False
        logger.info("The model has the weights of the best step, %d.", step_of(best))
        return True


def _summary(metrics: Mapping[str, float]) -> str:
    """Return the main metrics for the log; TensorBoard has all of them."""
    shown = [f"loss {metrics['loss']:.4g}"] if "loss" in metrics else []
    for name in metrics:
        direction, _, metric = name.rpartition("/")
        rank = f"{direction}/median_rank"
        if metric == "R@1" and rank in metrics:
            count = metrics.get(f"{direction}/count", math.nan)
            shown.append(
                f"{direction} R@1 {metrics[name]:.3g}, median rank {metrics[rank]:g} of {count:g}"
            )
    shown = shown or [f"{name} {value:.4g}" for name, value in metrics.items()]
    return "; ".join(shown) or "fewer than two have both modalities of a pair"
