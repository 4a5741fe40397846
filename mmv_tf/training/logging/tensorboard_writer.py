# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TensorBoard event files: writes a run's log, and reads its scalars back."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import api as hparams_api

from mmv_tf.training.logging.secrets import Plain
from mmv_tf.training.logging.writers import LoggedRun

FOLDER = "tensorboard"
# TensorBoard runs by the first part of a name: the same tag in both is one chart with two curves.
_CURVES = {"train": "train", "held_out": "validation"}


class TensorBoardWriter:
    """Writes event files, as the runs NAME/train and NAME/validation in the run folder.

    Args:
      run: the run. If its folder has been logged under another name, that name is kept.
    """

    def __init__(self, run: LoggedRun):
        self.directory = profile_folder(run).parent
        self._files: dict[pathlib.Path, Any] = {}

    def settings(self, settings: Mapping[str, Plain]) -> None:
        """Write settings for the HParams page."""
        with self._file(self.directory).as_default(step=0):
            hparams_api.hparams(dict(settings))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for kind, curve in _CURVES.items():
            own = {name: value for name, value in values.items() if name.startswith(f"{kind}/")}
            if own:
                with self._file(self.directory / curve).as_default():
                    for name, value in own.items():
                        tf.summary.scalar(name.removeprefix(f"{kind}/"), value, step)

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Write images."""
        for name, image in images.items():
            with self._place(name) as tag:
                tf.summary.image(tag, image[np.newaxis], step)

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Write texts."""
        for name, text in texts.items():
            with self._place(name) as tag:
                tf.summary.text(tag, text, step)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    @contextlib.contextmanager
    def _place(self, name: str) -> Iterator[str]:
        """Make `tf.summary` write to the file of a name, and yield its tag there."""
        kind, _, tag = name.partition("/")
        with self._file(self.directory / _CURVES[kind]).as_default():
            yield tag

    def _file(self, directory: pathlib.Path) -> Any:
        if directory not in self._files:
            self._files[directory] = tf.summary.create_file_writer(str(directory))
        return self._files[directory]


def profile_folder(run: LoggedRun) -> pathlib.Path:
    """Return the folder for a profile, the same as for the training curves."""
    root = run.directory / FOLDER
    named = sorted(path.parent for path in root.glob(f"*/{_CURVES['train']}"))
    return (named[0] if named else root / run.name) / _CURVES["train"]


def read_scalars(directory: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalars in a run's event files.

    Args:
      directory: the run folder, from this version or an earlier one.

    Returns:
      Name, such as "train/loss" or "held_out/video_to_audio/R@1" -> (step, value) in order. The
      last value of a step counts.
    """
    prefixes = {curve: f"{kind}/" for kind, curve in _CURVES.items()}
    found: dict[str, dict[int, float]] = {}
    paths = (directory / FOLDER).rglob("events.*")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        prefix = prefixes.get(path.parent.name, "")
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    found.setdefault(f"{prefix}{value.tag}", {})[event.step] = number
    return {name: sorted(values.items()) for name, values in found.items()}
