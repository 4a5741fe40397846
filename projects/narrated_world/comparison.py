# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains and scores models on the narrated world, each of which differs in one respect."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.layers import LogMel, WordTokenizer
from mmv_tf.pretrained import create_model
from mmv_tf.training import Trainer, load_model, make_strategy, save_model
from mmv_tf.util.configuration import write_json
from mmv_tf.util.safe_files import read_json
from mmv_tf.version import __version__
from projects import narrated_world
from projects.narrated_world import scoring as scoring

RESULTS_FILE = "results.json"
MODELS_FOLDER = "models"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The comparison declared by projects/narrated_world/config.py.

    Raises:
      ValueError: a variant to run is not declared, or uses more candidates than clips have.
    """

    config: ml_collections.ConfigDict

    def __post_init__(self) -> None:
        for name in self.config.run:
            if name not in self.config.variants:
                raise ValueError(
                    f"There is no variant {name!r} to run; the variants are "
                    f"{list(self.config.variants)}."
                )
            candidates = self.config.variants[name].candidates
            if not 1 <= candidates <= self.config.world.candidates:
                raise ValueError(
                    f"variants.{name}.candidates is {candidates}; clips have 1 to "
                    f"{self.config.world.candidates} (world.candidates)."
                )

    def world(self) -> narrated_world.NarratedWorld:
        """Return the training world, with the models' preprocessing."""
        model = self.config.model
        tokenizer = WordTokenizer(narrated_world.vocabulary(), model.text.max_words)
        return narrated_world.NarratedWorld(self.config.world, tokenizer, LogMel(**model.log_mel))

    def pool(self, world: narrated_world.NarratedWorld) -> narrated_world.Pool:
        """Return the training clips for all models."""
        return narrated_world.make_pool(world, np.arange(self.config.pool_clips))

    def model(self, name: str) -> EmbeddingGraph:
        """Return a variant's new model."""
        variant = self.config.variants[name]
        settings = ml_collections.ConfigDict(self.config.model.to_dict())
        settings.graph = self.config.graphs[variant.graph]
        trained = any(variant.weights.values())
        for pair, modality in (("va", "audio"), ("vt", "text")):
            if trained and not variant.weights[pair]:
                del settings[modality]
        settings.metadata = {
            "num_frames": self.config.world.num_frames,
            "frame_rate": self.config.world.frame_rate,
            "size": self.config.world.size,
            "square_crop": True,
            "sample_rate": self.config.world.sample_rate,
            "input_range": (0.0, 1.0),
        }
        words, vectors = None, None
        if "text" in settings:
            words = narrated_world.vocabulary()
            vectors = narrated_world.word_vectors(settings.text.embedding_dim)
        return create_model(settings, words, vectors)

    def train(self, name: str, seed: int, pool: narrated_world.Pool) -> EmbeddingGraph:
        """Train a variant from random weights; one whose loss weights are all 0 is not trained."""
        config, variant = self.config, self.config.variants[name]
        keras.utils.set_random_seed(seed)
        strategy = make_strategy(config.strategy)
        with strategy.scope():
            model = self.model(name)
        if not any(variant.weights.values()):
            return model
        settings = ml_collections.ConfigDict(config.training.to_dict())
        settings.weights = dict(variant.weights)
        batch_size = config.world.batch_size

        def batches(start: int) -> tf.data.Dataset:
            return pool.train(seed, batch_size, start, variant.candidates)

        with tempfile.TemporaryDirectory() as directory:
            trainer = Trainer(model, strategy, settings, config.optimizer, pathlib.Path(directory))
            trainer.run(batches, batch_size)
        return model


def run(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    on_scored: Callable[[str, int, dict[str, Any]], None] = lambda name, seed, scores: None,
) -> dict[str, Any]:
    """Train and score every variant with every seed, one seed after the other.

    Args:
      config: as in projects/narrated_world/config.py.
      directory: folder for results.json, written after each model, and for the models in models/.
        Existing results are kept; with another `config.scoring`, existing models are scored again.
      on_scored: called with variant, seed and scores after each model.

    Returns:
      The contents of results.json: "config"; "chance"; "trained": variant -> seed -> seconds of
      training; "runs": variant -> seed -> scores (see `narrated_world.score`), with "seconds" of
      scoring; "environment".

    Raises:
      ValueError: settings are inconsistent, or the folder has results with other settings.
    """
    comparison = Comparison(config)
    directory.mkdir(parents=True, exist_ok=True)
    results = _begin(config, directory / RESULTS_FILE)
    wanted = [(name, seed) for seed in config.seeds for name in config.run]
    missing = [
        (name, seed) for name, seed in wanted if str(seed) not in results["runs"].get(name, {})
    ]
    if not missing:
        return results
    world = comparison.world()
    pool = comparison.pool(world)
    questions = scoring.make_questions(config.scoring, world)
    for name, seed in missing:
        model = _trained(comparison, directory, name, seed, pool, results)
        begun = time.monotonic()
        scores = scoring.score(model, questions)
        scores["seconds"] = time.monotonic() - begun
        results["runs"].setdefault(name, {})[str(seed)] = scores
        # In the table's order, independent of the order of the runs.
        order = [*config.run, *(other for other in results["runs"] if other not in config.run)]
        results["runs"] = {key: results["runs"][key] for key in order if key in results["runs"]}
        write_json(results, directory / RESULTS_FILE)
        on_scored(name, seed, scores)
    return results


def seconds(results: Mapping[str, Any]) -> float:
    """Return the seconds for training and scoring the models of a comparison."""
    trained = sum(sum(runs.values()) for runs in results["trained"].values())
    scored = sum(run["seconds"] for runs in results["runs"].values() for run in runs.values())
    return trained + scored


def _trained(
    comparison: Comparison,
    directory: pathlib.Path,
    name: str,
    seed: int,
    pool: narrated_world.Pool,
    results: dict[str, Any],
) -> EmbeddingGraph:
    """Return a model that the results list as trained, or train it and add it to the results."""
    path = model_path(directory, name, seed)
    if str(seed) in results["trained"].get(name, {}) and path.exists():
        return load_model(path)
    begun = time.monotonic()
    model = comparison.train(name, seed, pool)
    save_model(model, path)
    results["trained"].setdefault(name, {})[str(seed)] = time.monotonic() - begun
    write_json(results, directory / RESULTS_FILE)
    return model


def model_path(directory: pathlib.Path, name: str, seed: int) -> pathlib.Path:
    """Return the path to a comparison's trained model, and create its folder."""
    path = directory / MODELS_FOLDER / f"{name}_{seed}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def trained_model(
    config: ml_collections.ConfigDict, directory: pathlib.Path, name: str = "fac", seed: int = 0
) -> pathlib.Path:
    """Return a small trained model for other studies; train it if it does not exist.

    Returns:
      The path to its `.keras` file.
    """
    path = model_path(directory, name, seed)
    if not path.exists():
        comparison = Comparison(config)
        save_model(comparison.train(name, seed, comparison.pool(comparison.world())), path)
    return path


def _begin(config: ml_collections.ConfigDict, path: pathlib.Path) -> dict[str, Any]:
    """Return the existing results, or new results without runs."""
    settings = json.loads(config.to_json())
    # The variants to run, and the later use of the models, may change between calls.
    for choice in ("run", "seeds", "images"):
        settings.pop(choice)
    if path.exists():
        try:
            results = read_json(path)
        except ValueError as error:
            raise ValueError(f"{error}; remove it.") from None
        if not isinstance(results, dict) or _training(results.get("config")) != _training(settings):
            raise ValueError(
                f"{path} belongs to a comparison with other settings; choose another folder or "
                "remove it."
            )
        if "trained" not in results:
            raise ValueError(
                f"{path} is from an earlier version; choose another folder or remove it."
            )
        if results["config"] != settings:
            results |= {"config": settings, "chance": scoring.chance(config.scoring), "runs": {}}
        return results
    return {
        "config": settings,
        "chance": scoring.chance(config.scoring),
        "trained": {},
        "runs": {},
        "environment": {
            "mmv_tf": __version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def _training(settings: Any) -> Any:
    """Return the settings on which the models depend."""
    return {**settings, "scoring": None} if isinstance(settings, dict) else settings
