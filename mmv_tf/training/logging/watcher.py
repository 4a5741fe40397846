# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Monitors a run: its progress line, its log and its profile."""

from __future__ import annotations

import io
import pathlib
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.training.logging.held_out import HeldOutClips
from mmv_tf.training.logging.settings import settings_of
from mmv_tf.training.logging.tensorboard_writer import profile_folder
from mmv_tf.training.logging.writers import LoggedRun, Writers
from mmv_tf.util.progress import Progress


class _Nowhere(io.StringIO):
    """File that discards everything."""

    def write(self, text: str) -> int:
        return len(text)


class Watcher:
    """Collects and reports the means of the steps' values; use it as a context manager.

    Args:
      directory: the run folder.
      training: training settings.
      start: number of steps done before this process.
      batch_size: clips per step.
      shown: whether this process reports anything; among several workers, only the first does.

    Raises:
      ValueError: a profile ends before it starts.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        training: ml_collections.ConfigDict,
        start: int,
        batch_size: int,
        shown: bool = True,
    ):
        first, last = training.profile
        if last and not 1 <= first <= last:
            raise ValueError(
                f"training.profile is {tuple(training.profile)}; expected (first, last) step, >= 1."
            )
        logged = settings_of(training)
        name = logged.name or directory.absolute().name
        self._run = LoggedRun(directory, name, logged.project)
        self._writers = Writers(logged.writers if shown else (), self._run)
        self._steps = training.steps
        self._batch_size = batch_size
        self._log_every = training.log_every
        self._profile = (first, last)
        self._profiling = False
        self._shown = shown
        file = None if shown else _Nowhere()
        self.progress = Progress(self._steps, "train", "steps", initial=start, file=file)
        self._window: list[dict[str, float]] = []
        self._waits: list[float] = []
        self._since = time.monotonic()
        self.means: dict[str, float] = {}

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Log a run's settings: nested dicts of plain values."""
        self._writers.settings(settings)

    def before_step(self, step: int) -> None:
        """Start the profile at its first step; `step` counts from 1."""
        if self._shown and self._profile[1] and step == self._profile[0]:
            tf.profiler.experimental.start(str(profile_folder(self._run)))
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
        """Log the means of the steps since the last report, if there are any."""
        if not self._window:
            return
        rate, waiting = self._speed()
        self.means = _means(self._window)
        speed = {"clips_per_second": rate, "input_wait_share": waiting}
        self.write(step, {f"train/{name}": v for name, v in {**self.means, **speed}.items()})
        self._window, self._waits, self._since = [], [], time.monotonic()

    def _speed(self) -> tuple[float, float]:
        """Return clips per second since the last report, and the fraction of time spent waiting."""
        elapsed = max(time.monotonic() - self._since, 1e-9)
        rate = len(self._waits) * self._batch_size / elapsed
        return rate, min(sum(self._waits) / elapsed, 1.0)

    def pause(self, seconds: float) -> None:
        """Exclude time spent on something else, such as evaluation, from the speed."""
        self._since += seconds

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log scalars by name, such as "held_out/loss"."""
        self._writers.scalars(step, scalars)

    def show(self, step: int, held_out: Mapping[str, HeldOutClips]) -> None:
        """Log images of held-out clips, by data set name; "" for the first."""
        for name, clips in held_out.items() if self._shown else ():
            prefix = f"held_out/{name}/" if name else "held_out/"
            self._writers.images(step, {f"{prefix}{key}": v for key, v in clips.images().items()})
            self._writers.texts(step, {f"{prefix}{key}": v for key, v in clips.texts().items()})

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
        self._writers.close()


def _means(window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of the finite values, without skipped steps."""
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
