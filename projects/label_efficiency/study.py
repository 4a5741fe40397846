# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains a network without labels, and classifiers from it and from nothing with few labels."""

from __future__ import annotations

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
from mmv_tf.inference import model_hash
from mmv_tf.training import load_model
from mmv_tf.util.configuration import read_json, write_json
from mmv_tf.version import __version__
from projects.label_efficiency import classifiers
from projects.label_efficiency.labels import draw_labeled
from projects.label_efficiency.tasks import Division, Task, esc10_task, world_task
from projects.narrated_world import comparison

RESULTS_FILE = "results.json"
NETWORK, NOTHING = "network", "nothing"
LINEAR, FINE_TUNED = "linear", "fine_tuned"
# Classifier and the weights that it begins with.
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
      directory: gets results.json after each run, and the network in models/. What is in it already
        is not done again.
      esc10: folder of ESC-10; without it only the narrated world is studied.
      on_run: called after each run.

    Returns:
      The contents of results.json: "config"; "network": "parameters", "sha256", "seconds" of its
      training; "tasks": name -> "classes", "tested" (division -> items and their "groups");
      "runs": a list with "task", "seed", "division", "share", "labels" (number of examples),
      "classifier", "start", "right" (a digit for each test item, 1 if its highest score is right)
      and "seconds"; "environment".

    Raises:
      ValueError: settings do not fit together, the folder has other ones, or ESC-10 can't be read.
    """
    directory.mkdir(parents=True, exist_ok=True)
    results = _begin(config, directory / RESULTS_FILE)
    write_json(results, directory / RESULTS_FILE)
    network = _network(config, directory, results)
    tasks = [world_task(config)]
    if esc10 is not None:
        tasks.append(esc10_task(config, esc10, network))
    for task in tasks:
        results["tasks"][task.name] = _describe(task)
        backbone = network.backbone(task.modality)
        trained = backbone.get_weights()
        for seed, names in zip(config.seeds, task.divisions_of, strict=True):
            starts = {NETWORK: trained, NOTHING: _new_weights(config, task.modality, seed)}
            for name in names:
                study = _DivisionStudy(config, task, name, seed, backbone, starts)
                for found in study.runs(results["runs"]):
                    results["runs"].append(found)
                    write_json(results, directory / RESULTS_FILE)
                    on_run(found)
    return results


class _DivisionStudy:
    """Runs of all shares and arms on one division with one seed."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        task: Task,
        name: str,
        seed: int,
        backbone: keras.layers.Layer,
        starts: dict[str, list[np.ndarray]],
    ):
        self._config, self._task, self._seed = config, task, seed
        self._name = name
        self._division: Division = task.divisions[name]
        self._backbone, self._starts = backbone, starts
        self._features: dict[str, tuple[classifiers.Features, classifiers.Features]] = {}
        self._recipe = FineTuning(**{**config.fine_tune.to_dict(), "epochs": task.epochs})

    def runs(self, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the runs that are not known."""
        train = self._division.train
        labels = np.array([item.labels[0] for item in train])
        for share in self._config.shares:
            chosen = draw_labeled(labels, share, self._seed)
            for kind, start in ARMS:
                key = {
                    "task": self._task.name,
                    "seed": self._seed,
                    "division": self._name,
                    "share": share,
                    "labels": len(chosen),
                    "classifier": kind,
                    "start": start,
                }
                if _find(known, key) is not None:
                    continue
                # Draws are nested, so equally many examples are the same ones.
                same = _find(known, {**key, "share": None})
                yield {**key, **(self._run(chosen, kind, start) if same is None else _result(same))}

    def _run(self, chosen: np.ndarray, kind: str, start: str) -> dict[str, Any]:
        begun = time.monotonic()
        train, test = self._division.train, self._division.test
        labeled, classes = [train[index] for index in chosen], len(self._task.classes)
        if kind == LINEAR:
            seen, tested = self._extracted(start)
            scores = classifiers.linear_scores(
                seen.of(chosen), labeled, tested, classes, self._config.penalty, self._seed
            )
        else:
            self._backbone.set_weights(self._starts[start])
            scores = classifiers.fine_tuned_scores(
                self._backbone,
                self._task.source,
                labeled,
                test,
                classes,
                self._recipe,
                self._config.min_steps,
                self._seed,
            )
        right = scores.argmax(axis=1) == [item.labels[0] for item in test]
        digits = "".join("1" if value else "0" for value in right)
        return {"right": digits, "seconds": time.monotonic() - begun}

    def _extracted(self, start: str) -> tuple[classifiers.Features, classifiers.Features]:
        """Return the features of all items for training and of those for test."""
        if start not in self._features:
            self._backbone.set_weights(self._starts[start])
            source, division = self._task.source, self._division
            self._features[start] = (
                classifiers.extract(self._backbone, source, division.train),
                classifiers.extract(self._backbone, source, division.test),
            )
        return self._features[start]


def _find(known: list[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    """Return the run with these values, of which those that are None do not matter."""
    for found in known:
        if all(value is None or found[name] == value for name, value in key.items()):
            return found
    return None


def _result(found: dict[str, Any]) -> dict[str, Any]:
    """Return a run's result for another share with the same examples."""
    return {"right": found["right"], "seconds": 0.0}


def _network(
    config: ml_collections.ConfigDict, directory: pathlib.Path, results: dict[str, Any]
) -> Any:
    """Return the network, trained if it is missing."""
    begun = time.monotonic()
    network = load_model(comparison.trained_model(config.network, directory, config.variant))
    if not results["network"]:
        results["network"] = {
            "parameters": int(network.count_params()),
            "sha256": model_hash(network),
            "seconds": time.monotonic() - begun,
        }
        write_json(results, directory / RESULTS_FILE)
    return network


def _new_weights(config: ml_collections.ConfigDict, modality: str, seed: int) -> list[np.ndarray]:
    """Return random weights of the backbone."""
    keras.utils.set_random_seed(seed)
    model = comparison.Comparison(config.network).model(config.variant)
    weights: list[np.ndarray] = model.backbone(modality).get_weights()
    return weights


def _describe(task: Task) -> dict[str, Any]:
    return {
        "classes": list(task.classes),
        "tested": {
            name: {
                "items": [item.item_id for item in division.test],
                "groups": [item.group or item.item_id for item in division.test],
            }
            for name, division in task.divisions.items()
        },
    }


def _begin(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict[str, Any]:
    """Return results without runs, or the existing ones."""
    settings = json.loads(config.to_json())
    if path.exists():
        results: dict[str, Any] = read_json(path)
        if results.get("config") != settings:
            raise ValueError(
                f"{path} is of a study with other settings; choose another folder or remove it."
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
