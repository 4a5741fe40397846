# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Progress, TensorBoard and profiling hooks."""

from __future__ import annotations

import io
import pathlib
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from mmv_tf.util.progress import Progress

FOLDER = "tensorboard"


class _Nowhere(io.StringIO):
    """File that discards everything."""

    def write(self, text: str) -> int:
        return len(text)


class Watcher:
    """Collector that shows the means of the steps' values; use it as a context manager.

    Args:
      directory: the run's folder; TensorBoard's files go into "tensorboard" in it.
      steps: number of steps of the whole run.
      start: number of steps done before this process.
      batch_size: clips a step.
      log_every: steps between two points in TensorBoard.
      profile: (first, last) step to profile, counted from 1; last 0 for none.
      shown: whether this process shows anything; of several workers, only the first does.

    Raises:
      ValueError: a profile ends before it begins.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        steps: int,
        start: int,
        batch_size: int,
        log_every: int,
        profile: Sequence[int] = (0, 0),
        shown: bool = True,
    ):
        first, last = profile
        if last and not 1 <= first <= last:
            raise ValueError(f"training.profile is {tuple(profile)}; use (first, last) step, >= 1.")
        self._directory = directory / FOLDER
        self._steps = steps
        self._batch_size = batch_size
        self._log_every = log_every
        self._profile = (first, last)
        self._profiling = False
        self._shown = shown
        self._writer = (
            tf.summary.create_file_writer(str(self._directory))
            if shown
            else tf.summary.create_noop_writer()
        )
        file = None if shown else _Nowhere()
        self.progress = Progress(steps, "train", "steps", initial=start, file=file)
        self._window: list[dict[str, float]] = []
        self._waits: list[float] = []
        self._since = time.monotonic()
        self.means: dict[str, float] = {}

    def hparams(self, settings: Mapping[str, Any]) -> None:
        """Write a run's settings for TensorBoard's HParams page: nested dicts of plain values."""
        with self._writer.as_default(step=0):
            hparams_api.hparams(dict(_flat(settings)))

    def before_step(self, step: int) -> None:
        """Start the profile at its first step; `step` counts from 1."""
        if self._shown and self._profile[1] and step == self._profile[0]:
            tf.profiler.experimental.start(str(self._directory))
            self._profiling = True

    def after_step(self, step: int, values: Mapping[str, float], waited: float) -> None:
        """Record a step's values and the seconds that it waited for its batch."""
        if self._profiling and step >= self._profile[1]:
            self._stop_profile()
        self._window.append(dict(values))
        self._waits.append(waited)
        rate, waiting = self._speed()
        self.progress.update(
            1, loss=values["loss"], **{"clips/s": rate, "waiting": f"{waiting:.0%}"}
        )
        if step % self._log_every == 0 or step == self._steps:
            self.log(step)

    def log(self, step: int) -> None:
        """Show the means of the steps since the last time, if there are some."""
        if not self._window:
            return
        rate, waiting = self._speed()
        self.means = _means(self._window)
        speed = {"clips_per_second": rate, "input_wait_share": waiting}
        self.write(step, {f"train/{name}": v for name, v in {**self.means, **speed}.items()})
        self._window, self._waits, self._since = [], [], time.monotonic()

    def _speed(self) -> tuple[float, float]:
        """Return clips per second since the last time, and the share of it spent waiting."""
        elapsed = max(time.monotonic() - self._since, 1e-9)
        rate = len(self._waits) * self._batch_size / elapsed
        return rate, min(sum(self._waits) / elapsed, 1.0)

    def pause(self, seconds: float) -> None:
        """Exclude time spent on something else, such as evaluation, from the speed."""
        self._since += seconds

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write numbers for TensorBoard."""
        with self._writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step)

    def _stop_profile(self) -> None:
        tf.profiler.experimental.stop()
        self._profiling = False

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._profiling:
            self._stop_profile()
        self.progress.close()
        self._writer.close()


def _means(window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return means of the finite values, without skipped steps."""
    means = {}
    for name in window[-1]:
        values = np.array([values[name] for values in window])
        finite = values[np.isfinite(values)]
        means[name] = float(finite.mean()) if len(finite) else float("nan")
    # These are states, not measurements.
    for name in ("learning_rate", "loss_scale", "nonfinite_steps", "loss_scale_overflows"):
        if name in window[-1]:
            means[name] = window[-1][name]
    return means


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            found.append((f"{prefix}{name}", value))
        else:
            found.append((f"{prefix}{name}", str(value)))
    return found
