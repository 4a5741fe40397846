# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Facts about a training run, for its model card, read from the run folder."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmv_tf.training import checkpoints, run_folder
from mmv_tf.training.checkpoints import CheckpointStore
from mmv_tf.training.logging.secrets import Plain, plain_settings
from mmv_tf.training.run_data import FILE as DATA_FILE
from mmv_tf.training.run_summary import read_summary
from mmv_tf.util.configuration import read_json
from mmv_tf.util.safe_files import Count
from mmv_tf.util.safe_files import read_json as read_any_json

# Ours: results are kilobytes; a folder of many other JSON files is not searched for them.
_RESULTS_BYTES, _MOST_FILES = 4 << 20, 200
# Settings whose values are paths on somebody's machine.
_PLACES = ("data.directory", "init_from", "init_vocabulary", "word_vectors")


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """Facts about a run.

    Attributes:
      settings: the settings, by dotted name, without secrets and folders.
      data: facts about each data set, see `read_summary`; for a run from an earlier version only
        "name", "splits" and "clips".
      summary: see `read_summary`.
      step: last step that has a checkpoint; None if there is none.
      metrics: metrics of that step.
      start: origin of the model's parts.
    """

    settings: Mapping[str, Plain]
    data: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any]
    step: int | None
    metrics: Mapping[str, float]
    start: run_folder.Start


def run_of(model: str | os.PathLike[str]) -> pathlib.Path | None:
    """Return the folder of the run from which a model comes, or None for other models.

    Args:
      model: a run's folder, one of its checkpoints, or its "model.keras".
    """
    path = pathlib.Path(model)
    candidates = [path, path.parent] if path.name == run_folder.MODEL_FILE else [path]
    if path.parent.name == checkpoints.FOLDER:
        candidates = [path.parent.parent]
    runs = (folder for folder in candidates if (folder / run_folder.CONFIG_FILE).is_file())
    return next((folder for folder in runs if run_folder.initial_file(folder).exists()), None)


def read_facts(model: str | os.PathLike[str]) -> RunFacts | None:
    """Return the facts about the run that a model comes from, or None for other models.

    Args:
      model: see `run_of`. The run may be from an earlier version.

    Raises:
      ValueError: one of the run's files is damaged.
    """
    run = run_of(model)
    if run is None:
        return None
    config = read_json(run / run_folder.CONFIG_FILE, {"data?": {"mixture?": ([{}], None)}})
    summary = read_summary(run)
    checkpoint = _checkpoint(pathlib.Path(model), run, _without_folders(config))
    return RunFacts(
        settings=_without_folders(config),
        data=summary.get("data") or _digests(run),
        summary=summary,
        step=None if checkpoint is None else checkpoints.step_of(checkpoint),
        metrics=_metrics(checkpoint),
        start=run_folder.read_start(run),
    )


def _checkpoint(
    model: pathlib.Path, run: pathlib.Path, settings: Mapping[str, Any]
) -> pathlib.Path | None:
    """Return the checkpoint with a model's weights, or None."""
    if model.parent.name == checkpoints.FOLDER:
        return model
    store = CheckpointStore(
        run,
        best_metric=str(settings.get("training.best_metric", "loss")),
        best_is=str(settings.get("training.best_is", "least")),
    )
    if settings.get("training.stop_after") and store.best() is not None:
        return store.best()
    return next(reversed(store.paths()), None)


def _metrics(checkpoint: pathlib.Path | None) -> dict[str, float]:
    if checkpoint is None:
        return {}
    try:
        found = checkpoints.read_manifest(checkpoint)["metrics"]
    except checkpoints.BrokenCheckpointError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def find_results(run: pathlib.Path, model_sha256: str) -> list[pathlib.Path]:
    """Return a model's results files in the run folder and beside it, by name.

    Args:
      run: the run folder.
      model_sha256: `mmv_tf.inference.model_hash` of the model, which results files contain.
    """
    found = []
    for folder in (run, run.absolute().parent):
        for path in sorted(folder.glob("*.json"))[:_MOST_FILES]:
            try:
                results = read_any_json(path, {}, _RESULTS_BYTES)
            except (OSError, ValueError):
                continue  # not a results file
            if results.get("model_sha256") == model_sha256 and "protocol" in results:
                found.append(path)
    return found


def _without_folders(config: dict[str, Any]) -> dict[str, Plain]:
    """Return settings with paths reduced to their last part; the rest is private."""
    data = config.get("data", {})
    mixture = [
        {**entry, "directory": os.path.basename(os.path.normpath(str(entry.get("directory", ""))))}
        for entry in data.get("mixture") or ()
    ]
    settings = plain_settings({**config, "data": {**data, "mixture": mixture}})
    for name in _PLACES:
        if settings.get(name):
            settings[name] = os.path.basename(os.path.normpath(str(settings[name])))
    return settings


def _digests(run: pathlib.Path) -> list[dict[str, Any]]:
    """Return what a run from an earlier version states about its data; empty for the oldest."""
    path = run / DATA_FILE
    if not path.exists():
        return []
    described = read_json(path, {str: {"splits": {str: {"records?": Count}}}})
    return [
        {
            "name": name,
            "splits": list(entry["splits"]),
            "clips": sum(split.get("records", 0) for split in entry["splits"].values()),
        }
        for name, entry in described.items()
    ]
