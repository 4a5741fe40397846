# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A run's log settings: `training.logging`."""

from __future__ import annotations

import importlib.util

import ml_collections

TENSORBOARD, WANDB, MLFLOW = "tensorboard", "wandb", "mlflow"
WRITERS = (TENSORBOARD, WANDB, MLFLOW)
# Ours: more clips than a screen shows help nobody.
_MOST_CLIPS = 32


def default_config() -> ml_collections.ConfigDict:
    """Return the default settings, which are ours."""
    return ml_collections.ConfigDict(
        {
            # Where to log: any of "tensorboard", "wandb" and "mlflow"; () for nowhere.
            "writers": (TENSORBOARD,),
            # Name of the run there; "" for the name of its folder.
            "name": "",
            # Project in Weights & Biases, experiment in MLflow.
            "project": "mmv_tf",
            # Held-out clips to show at each evaluation, with similarity matrices; 0 for no
            # images.
            "clips": 4,
        }
    )


def settings_of(training: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Return the logging settings, or the defaults for runs from earlier versions, which have none.

    Args:
      training: training settings.
    """
    settings = default_config()
    settings.update(training.get("logging", {}))
    return settings.lock()


def check(training: ml_collections.ConfigDict) -> None:
    """Check the logging settings.

    Raises:
      ValueError: a writer is unknown or not installed, the name has a slash, or the
        number of clips is out of range.
    """
    settings = settings_of(training)
    for name in settings.writers:
        if name not in WRITERS:
            raise ValueError(
                f"training.logging.writers has {name!r}; choose from {', '.join(WRITERS)}."
            )
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"training.logging.writers has {name!r}, which is not installed: "
                f'pip install "mmv_tf[{name}]".'
            )
    if "/" in settings.name:
        raise ValueError(f"training.logging.name is {settings.name!r}; use a name without '/'.")
    if not 0 <= settings.clips <= _MOST_CLIPS:
        raise ValueError(
            f"training.logging.clips is {settings.clips}; expected 0 to {_MOST_CLIPS} clips."
        )
