# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A training run's folder: its network, its settings and its checkpoints."""

from __future__ import annotations

import json
import logging
import os
import pathlib
from typing import Any

import keras
import ml_collections
import tensorflow as tf

from mmv_tf import atomic

logger = logging.getLogger(__name__)

NETWORK_FILE = "network.keras"  # architecture and vocabulary, written when the run starts
MODEL_FILE = "model.keras"  # the trained network, written when the run ends
CONFIG_FILE = "config.json"


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a `.keras` file whole or not at all."""
    target = pathlib.Path(path)
    if target.suffix != ".keras":
        raise ValueError(f"{target} does not end in .keras.")
    with atomic.replacing(target) as temporary:
        model.save(temporary)


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Reads a network.

    Args:
      path: a `.keras` file that `model.save(path)` wrote, or the folder of a training run: its
        finished model, or else its newest good checkpoint.

    Raises:
      ValueError: if there is no network, or the file is not one.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        if (path / MODEL_FILE).exists():
            return load_model(path / MODEL_FILE)
        if not (path / NETWORK_FILE).exists():
            raise ValueError(
                f"{path} is not the folder of a training run: it has neither {MODEL_FILE} nor "
                f"{NETWORK_FILE}."
            )
        model = load_model(path / NETWORK_FILE)
        if restore(make_checkpoint(model), path) is None:
            raise ValueError(f"{path} holds no checkpoint yet; train for some steps first.")
        return model
    if not path.exists():
        raise ValueError(f"There is no network at {path}.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path} is not a network saved by mmv_tf: {reason[0]}") from error


def variables_of(owner: Any) -> list[tf.Variable]:
    """The TensorFlow variables of a Keras model or optimizer, in order of creation."""
    return [variable.value for variable in owner.variables]


def make_checkpoint(model: keras.Model, **others: Any) -> tf.train.Checkpoint:
    """A checkpoint of a network and of other trackable things.

    The weights are listed: `tf.train.Checkpoint(model=model)` does not follow Keras 3's lists of
    layers, and silently leaves out what is in them.
    """
    return tf.train.Checkpoint(weights=variables_of(model), **others)


def make_manager(
    checkpoint: tf.train.Checkpoint, directory: pathlib.Path, keep: int
) -> tf.train.CheckpointManager:
    """The manager of a run's checkpoints; `keep` of them stay."""
    return tf.train.CheckpointManager(checkpoint, str(directory / "checkpoints"), keep)


def restore(checkpoint: tf.train.Checkpoint, directory: pathlib.Path) -> str | None:
    """Restores a run's newest checkpoint that can be read; says so when it isn't the newest.

    Returns:
      Its path, or None if there is none.
    """
    state = tf.train.get_checkpoint_state(str(directory / "checkpoints"))
    paths = [] if state is None else list(state.all_model_checkpoint_paths)
    for path in reversed(paths):
        try:
            checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
            return path
        except (tf.errors.OpError, ValueError, LookupError, AssertionError) as error:
            first_line = str(error).splitlines()[0]
            logger.warning(
                "Checkpoint %s can't be read (%s); trying the one before.", path, first_line
            )
    if paths:
        raise ValueError(
            f"None of the {len(paths)} checkpoints in {directory} can be read; remove the folder "
            "to start again."
        )
    return None


def save_config(config: ml_collections.ConfigDict, directory: pathlib.Path) -> None:
    """Writes a run's settings, or checks them against those that the folder has.

    Raises:
      ValueError: if the folder belongs to a run with other settings.
    """
    settings = json.loads(config.to_json())
    path = directory / CONFIG_FILE
    if path.exists():
        differences = _differences(json.loads(path.read_text(encoding="utf-8")), settings)
        if differences:
            raise ValueError(
                f"{directory} holds a run with other settings ({differences[0]}); choose another "
                "folder or remove it."
            )
        return
    atomic.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", path)


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in sorted(set(old) | set(new)):
            found += _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return found
    return [] if old == new else [f"{key} was {old!r}, now {new!r}"]
