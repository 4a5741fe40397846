# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Interface to a run's log, and the writers that the settings select."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mmv_tf.training.logging.secrets import Plain, plain_settings, without_passwords
from mmv_tf.training.logging.settings import MLFLOW, TENSORBOARD, WANDB
from mmv_tf.util.configuration import read_json, write_json

logger = logging.getLogger(__name__)

IDS_FILE = "logging.json"
_IDS_FORM = {"wandb?": str, "mlflow?": str}


@dataclasses.dataclass(frozen=True)
class LoggedRun:
    """A run that is logged.

    Attributes:
      directory: the run folder.
      name: display name.
      project: project that the run belongs to.
    """

    directory: pathlib.Path
    name: str
    project: str

    def remembered_id(self, writer: str, make: Callable[[], str] | None = None) -> str:
        """Return the run's id in a tracking service, so that a resumed run continues there.

        Args:
          writer: the writer's name.
          make: returns the id of a new run; by default, a random id.
        """
        path = self.directory / IDS_FILE
        ids = read_json(path, _IDS_FORM) if path.exists() else {}
        if writer not in ids:
            ids[writer] = make() if make else uuid.uuid4().hex[:8]
            write_json(ids, path)
        known: str = ids[writer]
        return known


class Writer(Protocol):
    """A destination for a run's log.

    Names are paths that begin with "train" or "held_out", such as "train/loss".
    """

    def settings(self, settings: Mapping[str, Plain]) -> None:
        """Record the run's settings, by dotted name, without secrets."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars, which may be infinite or NaN."""

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Record images, uint8 [H, W, 3]."""

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Record texts in Markdown."""

    def close(self) -> None:
        """Write what is buffered; nothing is recorded afterwards."""


class Writers:
    """The writers of a run. A writer that fails is dropped with a warning; training continues.

    Args:
      names: writers; see `settings.WRITERS`.
      run: the run.
    """

    def __init__(self, names: Sequence[str], run: LoggedRun):
        self._open: dict[str, Writer] = {}
        for name in names:
            with self._dropped(name):
                self._open[name] = _OPEN[name](run)

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Record settings: nested dicts; see `Writer.settings`."""
        plain = plain_settings(settings)
        self._each(lambda writer: writer.settings(plain))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars with all writers, as `Writer.scalars` does."""
        self._each(lambda writer: writer.scalars(step, values))

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Record images with all writers, as `Writer.images` does."""
        self._each(lambda writer: writer.images(step, images))

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Record texts with all writers, as `Writer.texts` does."""
        self._each(lambda writer: writer.texts(step, texts))

    def close(self) -> None:
        """Close all writers."""
        self._each(lambda writer: writer.close())
        self._open.clear()

    def _each(self, call: Callable[[Writer], None]) -> None:
        for name, writer in list(self._open.items()):
            with self._dropped(name):
                call(writer)

    @contextlib.contextmanager
    def _dropped(self, name: str) -> Any:
        """Drop a writer that fails. Its library may raise errors of any class."""
        try:
            yield
        except Exception as error:
            self._open.pop(name, None)
            logger.warning(
                "Logging to %s failed and is off for the rest of this run (%s: %s).",
                name,
                type(error).__name__,
                without_passwords(" ".join(str(error).split())),
            )


def _open_tensorboard(run: LoggedRun) -> Writer:
    from mmv_tf.training.logging.tensorboard_writer import TensorBoardWriter

    return TensorBoardWriter(run)


def _open_wandb(run: LoggedRun) -> Writer:
    from mmv_tf.training.logging.wandb_writer import WandbWriter

    return WandbWriter(run)


def _open_mlflow(run: LoggedRun) -> Writer:
    from mmv_tf.training.logging.mlflow_writer import MlflowWriter

    return MlflowWriter(run)


_OPEN = {TENSORBOARD: _open_tensorboard, WANDB: _open_wandb, MLFLOW: _open_mlflow}
