# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A training run's folder: its model, settings and checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import ml_collections
import tensorflow as tf

from mmv_tf.graphs.precision import in_precision
from mmv_tf.training import checkpoints, duplicates, freezing
from mmv_tf.training.stored_checkpoints import open_checkpoints
from mmv_tf.util import files
from mmv_tf.util.configuration import differences, read_json, write_json
from mmv_tf.util.keras_files import load_keras_file
from mmv_tf.util.safe_files import Form
from mmv_tf.util.storage import mirror
from mmv_tf.util.storage.errors import MissingError

logger = logging.getLogger(__name__)

INITIAL_FILE = "initial.keras"  # architecture and vocabulary, written when the run starts
FORMER_INITIAL_FILE = "network.keras"  # its name in runs from before 2026-12
MODEL_FILE = "model.keras"  # the trained network, written when the run ends
CONFIG_FILE = "config.json"
START_FILE = "start.json"
_START_FORM = {"init_from": str, "taken": [str], "new": [str], "unused": [str]}

# Settings that don't affect the trained model; they may change on resuming.
_MAY_CHANGE = (
    "data.cache_dir",
    "data.cache_gb",
    "data.inspect",
    "data.max_bad_fraction",
    "data.on_bad_record",
    "training.best_is",
    "training.best_metric",
    "training.checkpoint_every_seconds",
    "training.checkpoint_every_steps",
    "training.evaluate_clips",
    "training.evaluate_every_steps",
    "training.evaluate_split",
    "training.keep_checkpoints",
    "training.log_every",
    "training.nonfinite_limit",
    "training.profile",
    "training.save_iterator",
)
_LOGGING = "training.logging"  # all settings in it; runs from earlier versions lack the section
# Settings that do affect it if the run may stop early, or uses its best checkpoint's weights.
_CHOOSE_THE_END = (
    "training.best_is",
    "training.best_metric",
    "training.evaluate_clips",
    "training.evaluate_every_steps",
    "training.evaluate_split",
)
# Settings that runs from earlier versions lack, and the values with which training works as in
# those versions.
_FORMERLY: dict[str, Any] = {
    "init_from": "",
    "init_partial": False,
    "init_vocabulary": "",
    "training.freeze": [],
    "training.frozen_batch_norm": False,
    "training.learning_rates": freezing.DEFAULT_LEARNING_RATES,
    "training.mask_duplicates": duplicates.NONE,
    "training.stop_after": 0,
}
_STEPS = "training.steps"  # may be increased


@dataclasses.dataclass(frozen=True)
class Start:
    """The origin of a model's parts at the start of a run; see `EmbeddingGraph.parts`.

    Attributes:
      init_from: source of the weights; "" if all are random.
      taken: parts with the source's weights.
      new: parts with random weights.
      unused: parts from the source that no pair of the objective compares; they do not change.
    """

    init_from: str = ""
    taken: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def save_start(start: Start, directory: pathlib.Path) -> None:
    """Write the origin of a model's parts to a run folder."""
    write_json(dataclasses.asdict(start), directory / START_FILE)


def read_start(directory: pathlib.Path) -> Start:
    """Return the origin of the parts of a run's model.

    A run from an earlier version started with random weights.

    Raises:
      ValueError: the file is damaged.
    """
    path = directory / START_FILE
    if not path.exists():
        return Start()
    found = read_json(path, _START_FORM)
    return Start(found["init_from"], *(tuple(found[key]) for key in ("taken", "new", "unused")))


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a `.keras` file atomically."""
    target = pathlib.Path(path)
    if target.suffix != ".keras":
        raise ValueError(f"{target} does not end in .keras.")
    with files.replacing(target) as temporary:
        model.save(temporary)


def load_model(path: str | os.PathLike[str], dtype: str | None = None) -> keras.Model:
    """Read a model.

    Args:
      path: a `.keras` file that `model.save(path)` wrote; the folder of a training run, for its
        finished model or else its newest good checkpoint; or the folder of one of its checkpoints.
      dtype: precision to compute in, if not the saved one; one of `mmv_tf.graphs.precision.DTYPES`.

    If a run averages its weights, the averages are loaded.

    Raises:
      ValueError: there is no model, the file does not hold one, or the dtype does not exist.
    """
    model = _read_model(pathlib.Path(path))
    return model if dtype is None else in_precision(model, dtype)


def _read_model(path: pathlib.Path) -> keras.Model:
    if path.is_dir():
        if path.parent.name == checkpoints.FOLDER:
            model = _untrained(path.parent.parent)
            restore_weights(model, path)
            return model
        if (path / MODEL_FILE).exists():
            return _read_model(path / MODEL_FILE)
        model = _untrained(path)
        restored = open_checkpoints(path).restore(make_checkpoint(model))
        if restored is None:
            raise ValueError(f"{path} holds no checkpoint yet; train for some steps first.")
        restore_weights(model, restored.path)
        return model
    if not path.exists():
        raise ValueError(f"There is no network at {path}.")
    return load_keras_file(path)


def initial_file(directory: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path to a run's untrained model, whether it exists or not.

    This is the file's former name if only that file exists.
    """
    former = pathlib.Path(directory) / FORMER_INITIAL_FILE
    path = former.with_name(INITIAL_FILE)
    return former if former.exists() and not path.exists() else path


def _untrained(directory: pathlib.Path) -> keras.Model:
    path = initial_file(directory)
    if not path.exists():
        with contextlib.suppress(MissingError):
            mirror.fetch(path)
    if not path.exists():
        raise ValueError(
            f"{directory} is not the folder of a training run: it has neither {MODEL_FILE} nor "
            f"{INITIAL_FILE}."
        )
    return _read_model(path)


def restore_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Restore all weights from a checkpoint folder, then their averages if it has them.

    Raises:
      BrokenCheckpointError: the checkpoint is damaged.
    """
    checkpoints.read_weights(make_checkpoint(model), path)
    names = tf.train.load_checkpoint(str(path / "state")).get_variable_to_shape_map()
    if any(name.startswith("averages/") for name in names):
        run = path.parent.parent
        freeze = (_read_config(run) or {}).get("training", {}).get("freeze", [])
        unused = read_start(run).unused
        trained = freezing.Freezing(model, freeze, unused=unused).variables
        averages = [variable.value for variable in trained]
        checkpoints.read_weights(tf.train.Checkpoint(averages=averages), path)


def variables_of(owner: Any) -> list[tf.Variable]:
    """Return the TensorFlow variables of a Keras model or optimizer, in creation order."""
    return [variable.value for variable in owner.variables]


def make_checkpoint(model: keras.Model, **others: Any) -> tf.train.Checkpoint:
    """Return a checkpoint of a model and other trackable objects.

    The weights are listed: `tf.train.Checkpoint(model=model)` does not follow Keras 3's lists of
    layers, and silently omits their contents.
    """
    return tf.train.Checkpoint(weights=variables_of(model), **others)


def as_begun(
    config: ml_collections.ConfigDict, directory: pathlib.Path
) -> ml_collections.ConfigDict:
    """Return settings that resume a run from an earlier version as it was started.

    Clips that occur twice in a batch were not masked then, and stay unmasked.

    Args:
      config: settings, perhaps from an earlier version, which lack some. If they set
        `mask_duplicates` to a non-default value, it is kept.
      directory: the run folder, with or without a run in it.
    """
    former = {}
    for key, value in _FORMERLY.items():
        section, name = _entry(config, key)
        if name not in section:
            former[key] = value
    before = _read_config(directory)
    mask = "mask_duplicates"
    by_default = config.training.get(mask) == duplicates.EXAMPLE
    if before is not None and by_default and mask not in before.get("training", {mask: ""}):
        former[f"training.{mask}"] = duplicates.NONE
        logger.info(
            "%s holds a run from an earlier version, which did not mask duplicates; it resumes "
            "without masking (training.%s='none').",
            directory,
            mask,
        )
    if not former:
        return config
    found = ml_collections.ConfigDict(config.to_dict())
    for key, value in former.items():
        section, name = _entry(found, key)
        section[name] = value
    return found.lock()


def save_config(config: ml_collections.ConfigDict, directory: pathlib.Path) -> None:
    """Write a run's settings; a run from an earlier version stays recognizable, see `as_begun`."""
    settings = json.loads(config.to_json())
    before = _read_config(directory)
    for key, value in _FORMERLY.items():
        section, name = _entry(settings, key)
        was_lacking = before is not None and name not in _entry(before, key)[0]
        if was_lacking and section.get(name, value) == value:
            section.pop(name, None)
    write_json(settings, directory / CONFIG_FILE)


def _entry(settings: Any, key: str) -> tuple[Any, str]:
    """Return the section of a setting such as "training.steps" or "seed", and its name there."""
    *path, name = key.split(".")
    return (settings[path[0]] if path else settings), name


def check_config(config: ml_collections.ConfigDict, directory: pathlib.Path) -> None:
    """Compare settings with those of the run in a folder, if there is one.

    Raises:
      ValueError: settings differ that may not change on resuming.
    """
    found = _read_config(directory)
    if found is None:
        return
    before = without_places(found)
    now = without_places(json.loads(config.to_json()))
    fixed = _CHOOSE_THE_END if config.training.get("stop_after", 0) else ()
    for key, old, new in differences(before, now):
        old = _FORMERLY.get(key) if old is None else old
        if key == _STEPS and new < old:
            raise ValueError(
                f"{directory} holds a run of {old} steps, but {key} is {new}; a run can be "
                "extended, not shortened: choose another folder."
            )
        may_change = key in (*_MAY_CHANGE, _STEPS) or key.startswith(_LOGGING)
        if old != new and (not may_change or key in fixed):
            raise ValueError(
                f"{directory} holds a run with other settings ({key} was {old!r}, now {new!r}); "
                "choose another folder or remove it."
            )


def _read_config(directory: pathlib.Path) -> dict[str, Any] | None:
    """Return the settings of the run in a folder, or None if there is no run."""
    path = directory / CONFIG_FILE
    if not path.exists():
        return None
    form: Form = {"data?": {"mixture?": ([{}], None)}, "training?": {"freeze?": [str]}}
    found: dict[str, Any] = read_json(path, form)
    return found


def extends(config: ml_collections.ConfigDict, directory: pathlib.Path) -> int | None:
    """Return the number of steps of the run in a folder if a configuration has more, else None."""
    before = _read_config(directory)
    steps: int | None = None if before is None else before["training"]["steps"]
    return steps if steps is not None and steps < config.training.steps else None


def set_aside(directory: pathlib.Path, steps: int) -> pathlib.Path:
    """Rename the finished model of an extended run, and return its new name."""
    kept = directory / f"model-{steps:08d}.keras"
    files.put_in_place(directory / MODEL_FILE, kept)
    return kept


def data_settings(directory: pathlib.Path, keys: Sequence[str]) -> dict[str, Any]:
    """Return the data settings named `keys` from the run in a folder."""
    data = read_json(directory / CONFIG_FILE, {"data": {}})["data"]
    return {key: data[key] for key in keys if key in data}


def without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings as JSON, without the paths of its data, which may change."""
    data = settings.get("data", {})
    mixture = [{**entry, "directory": ""} for entry in data.get("mixture") or ()]
    return {**settings, "data": {**data, "directory": "", "mixture": mixture}}
