# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MLflow as a run's log. Its own environment variables apply, such as MLFLOW_TRACKING_URI."""

from __future__ import annotations

import time
from collections.abc import Mapping

import mlflow
import numpy as np

from mmv_tf.training.logging.secrets import Plain
from mmv_tf.training.logging.settings import MLFLOW
from mmv_tf.training.logging.writers import LoggedRun

_DATABASE, _ARTIFACTS = "mlflow.db", "mlflow"
_LONGEST_VALUE = 500  # characters; servers of earlier versions refuse longer parameters


class MlflowWriter:
    """A writer to an MLflow run, which a resumed run continues.

    Without a tracking URI in the environment, everything goes to the run folder: to the
    database "mlflow.db" (`mlflow ui --backend-store-uri=sqlite:///RUN/mlflow.db`), and images and
    texts to the folder "mlflow".

    Args:
      run: the run. Its project is used as the experiment.
    """

    def __init__(self, run: LoggedRun):
        folder = run.directory.absolute()
        local = not mlflow.is_tracking_uri_set()
        self._client = mlflow.MlflowClient(f"sqlite:///{folder / _DATABASE}" if local else None)
        experiment = self._client.get_experiment_by_name(run.project)
        if experiment is None:
            artifacts = (folder / _ARTIFACTS).as_uri() if local else None
            number = self._client.create_experiment(run.project, artifacts)
        else:
            number = experiment.experiment_id
        self._id = run.remembered_id(
            MLFLOW, lambda: self._client.create_run(number, run_name=run.name).info.run_id
        )
        self._client.update_run(self._id, status="RUNNING")

    def settings(self, settings: Mapping[str, Plain]) -> None:
        """Record settings as parameters."""
        for name, value in settings.items():
            self._client.log_param(self._id, name, str(value)[:_LONGEST_VALUE])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers; "@", which MLflow refuses in names, becomes "_at_"."""
        now = int(time.time() * 1000)
        metrics = [
            mlflow.entities.Metric(name.replace("@", "_at_"), value, now, step)
            for name, value in values.items()
        ]
        self._client.log_batch(self._id, metrics=metrics)

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Record images."""
        for name, image in images.items():
            self._client.log_image(self._id, image, key=name, step=step)

    def texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Record texts as files, NAME/STEP.md."""
        for name, text in texts.items():
            self._client.log_text(self._id, text, f"{name}/{step:08d}.md")

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._id)
