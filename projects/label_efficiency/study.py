# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains a network without labels, and classifiers from it and from scratch with few labels."""

from __future__ import annotations

import functools
import itertools
import json
import os
import pathlib
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.evaluation.declaration import FineTuning
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import model_hash
from mmv_tf.training import load_model
from mmv_tf.util.configuration import read_json, write_json
from mmv_tf.version import __version__
from projects.label_efficiency import classifiers
from projects.label_efficiency.labels import draw_labeled
from projects.label_efficiency.tasks import Task, esc10_task, world_task
from projects.narrated_world import comparison

RESULTS_FILE = "results.json"
NETWORK_FILE = "network.json"
NETWORK, NOTHING = "network", "nothing"
LINEAR, FINE_TUNED = "linear", "fine_tuned"
# Classifier and the weights from which it starts.
ARMS = tuple((kind, start) for kind in (LINEAR, FINE_TUNED) for start in (NETWORK, NOTHING))


def run(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    esc10: pathlib.Path | None = None,
    on_run: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Run the study.

    Args:
      config: as in projects/label_efficiency/config.py.
      directory: folder for results.json, written after each run, and for the network in models/
        with network.json. Existing results are not computed again.
      esc10: the ESC-10 folder; without it, only the narrated world is used.
      on_run: called after each run.

    Returns:
      The contents of results.json: "config"; "network": "parameters", "sha256", "seconds" of its
      training; "tasks": name -> "classes", "divisions_of" (names for each seed), "tested" (division
      -> "items" and their "groups"); "runs": a list with "task", "seed", "division", "share",
      "labels" (number of examples), "classifier", "start", "right" (a digit for each test item, 1
      if the class with the highest score is correct) and "seconds"; "environment".

    Raises:
      ValueError: settings are inconsistent, the folder has results with other settings, or ESC-10
        can't be read.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / RESULTS_FILE
    results = _begin(config, path)
    write_json(results, path)
    network, results["network"] = _network(config, directory)
    tasks = [world_task(config)]
    if esc10 is not None:
        tasks.append(esc10_task(config, esc10, network))
    results["tasks"] |= {task.name: _describe(task) for task in tasks}
    studies = [_TaskStudy(config, task, network.backbone(task.modality)) for task in tasks]
    # Fine-tuning takes longest, especially with all labels.
    for kind, study in itertools.product((LINEAR, FINE_TUNED), studies):
        for found in study.runs(kind, results["runs"]):
            results["runs"].append(found)
            write_json(results, path)
            on_run(found)
    return results


class _TaskStudy:
    """Runs for all shares, seeds and arms on one data set."""

    def __init__(self, config: ml_collections.ConfigDict, task: Task, backbone: keras.layers.Layer):
        self._config, self._task, self._backbone = config, task, backbone
        self._trained = backbone.get_weights()
        divisions = task.divisions.values()
        items = {item.item_id: item for one in divisions for item in (*one.train, *one.test)}
        self._items = tuple(items.values())
        self._place = {name: place for place, name in enumerate(items)}
        self._recipe = FineTuning(**{**config.fine_tune.to_dict(), "epochs": task.epochs})

    def runs(self, kind: str, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the runs of one kind of classifier that are not known yet."""
        seeded = list(zip(self._config.seeds, self._task.divisions_of, strict=True))
        for share, (seed, names) in itertools.product(self._config.shares, seeded):
            for name, start in itertools.product(names, (NETWORK, NOTHING)):
                train = self._task.divisions[name].train
                chosen = draw_labeled(np.array([one.labels[0] for one in train]), share, seed)
                key = {
                    "task": self._task.name,
                    "seed": seed,
                    "division": name,
                    "share": share,
                    "labels": len(chosen),
                    "classifier": kind,
                    "start": start,
                }
                if _find(known, key) is not None:
                    continue
                # Draws are nested, so the same number of examples means the same examples.
                same = _find(known, {**key, "share": None})
                if same is None:
                    yield key | self._run(kind, start, seed, name, chosen)
                else:
                    yield key | {"right": same["right"], "seconds": 0.0}

    def _run(
        self, kind: str, start: str, seed: int, name: str, chosen: np.ndarray
    ) -> dict[str, Any]:
        begun = time.monotonic()
        config, division = self._config, self._task.divisions[name]
        classes = len(self._task.classes)
        labeled, test = [division.train[index] for index in chosen], division.test
        if kind == LINEAR:
            features = self._features(start, seed)
            seen, tested = (
                features.of(np.array([self._place[item.item_id] for item in items]))
                for items in (labeled, test)
            )
            scores = classifiers.linear_scores(seen, labeled, tested, classes, config.penalty, seed)
        else:
            self._backbone.set_weights(self._weights(start, seed))
            scores = classifiers.fine_tuned_scores(
                self._backbone,
                self._task.source,
                labeled,
                test,
                classes,
                self._recipe,
                config.min_steps,
                seed,
            )
        right = scores.argmax(axis=1) == [item.labels[0] for item in test]
        digits = "".join("1" if value else "0" for value in right)
        return {"right": digits, "seconds": time.monotonic() - begun}

    @functools.cache  # noqa: B019  # as long-lived as the study
    def _weights(self, start: str, seed: int) -> list[np.ndarray]:
        """Return the backbone's initial weights: the network's, or random weights."""
        if start == NETWORK:
            return self._trained
        keras.utils.set_random_seed(seed)
        model = comparison.Comparison(self._config.network).model(self._config.variant)
        weights: list[np.ndarray] = model.backbone(self._task.modality).get_weights()
        return weights

    def _features(self, start: str, seed: int) -> classifiers.Features:
        """Return the features of all items; the network's features are the same for all seeds."""
        return self._extracted(start, None if start == NETWORK else seed)

    @functools.cache  # noqa: B019
    def _extracted(self, start: str, seed: int | None) -> classifiers.Features:
        self._backbone.set_weights(self._trained if seed is None else self._weights(start, seed))
        return classifiers.extract(self._backbone, self._task.source, self._items)


def _find(known: list[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    """Return a run with these values; None matches any value."""
    for found in known:
        if all(value is None or found[name] == value for name, value in key.items()):
            return found
    return None


def _network(
    config: ml_collections.ConfigDict, directory: pathlib.Path
) -> tuple[EmbeddingGraph, dict[str, Any]]:
    """Return the network, trained if it is missing, and its description."""
    path = directory / NETWORK_FILE
    settings = {"variant": config.variant, **json.loads(config.network.to_json())}
    if path.exists():
        described: dict[str, Any] = read_json(path)
        if described.get("config") != settings:
            raise ValueError(
                f"{path} belongs to a network with other settings; choose another folder, or "
                f"remove it and {comparison.MODELS_FOLDER}/."
            )
    begun = time.monotonic()
    network = load_model(comparison.trained_model(config.network, directory, config.variant))
    if not path.exists():
        described = {
            "config": settings,
            "parameters": int(network.count_params()),
            "sha256": model_hash(network),
            "seconds": time.monotonic() - begun,
        }
        write_json(described, path)
    return network, {key: described[key] for key in ("parameters", "sha256", "seconds")}


def _describe(task: Task) -> dict[str, Any]:
    return {
        "classes": list(task.classes),
        "divisions_of": [list(names) for names in task.divisions_of],
        "tested": {
            name: {
                "items": [item.item_id for item in division.test],
                "groups": [item.group or item.item_id for item in division.test],
            }
            for name, division in task.divisions.items()
        },
    }


def _begin(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict[str, Any]:
    """Return the existing results, or new results without runs."""
    settings = json.loads(config.to_json())
    if path.exists():
        results: dict[str, Any] = read_json(path)
        if results.get("config") != settings:
            raise ValueError(
                f"{path} belongs to a study with other settings; choose another folder, or "
                "remove it."
            )
        return results
    return {
        "config": settings,
        "network": {},
        "tasks": {},
        "runs": [],
        "environment": {
            "mmv_tf": __version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
    }
