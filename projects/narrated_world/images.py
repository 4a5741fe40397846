# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflated models on the narrated world: accuracy of linear probes on single frames.

Follows Table 3 of MMV (Alayrac et al., 2020) for the models trained by a comparison: each is
deflated and fitted, and the same probe is trained on the features of frames from the naive and the
fitted image model, and from the video model on static clips of these frames (the inflated input).
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.deflation.measures import static_features
from mmv_tf.evaluation.linear_probe import factor_probe
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.training import load_model
from mmv_tf.util.configuration import write_json
from mmv_tf.util.safe_files import read_json
from projects import narrated_world
from projects.narrated_world.comparison import MODELS_FOLDER

RESULTS_FILE = "images.json"
CLIP = "clip"
STAGES = ("start", "closed_form", "fitted", "pointwise")
_CHUNK = 128  # images to embed at once; ours


def default_config() -> ml_collections.ConfigDict:
    """Return the settings; all are ours."""
    return ml_collections.ConfigDict(
        {
            "variants": ("fac", "disjoint", "shared"),
            "fit_seed": 4,  # seed of the world for the fit's frames; see `narrated_world.scoring`
            "fit_frames": 4096,
            "epochs": 12,
            "pointwise_epochs": 12,
            "batch_size": 32,
            "learning_rate": 1e-2,
            "galleries": 10,  # of test frames for probes; each has all combinations
            "probe_frames": 4000,  # training frames for probes
        }
    )


@dataclasses.dataclass(frozen=True)
class Frames:
    """One frame from each of N clips.

    Attributes:
      images: float32 [N, H, W, 3] in [0, 1].
      labels: factor -> int [N].
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]


def make_frames(
    world: narrated_world.NarratedWorld, index: np.ndarray, coarse: np.ndarray | None = None
) -> Frames:
    """Return a random frame from each clip, determined by the world's seed.

    Args:
      world: defines the seed and the size.
      index: clip numbers, int [N].
      coarse: coarse facts, int [N, 3]; by default, as drawn for the index. All clips have video.
    """
    if coarse is None:
        drawn = world.scenes(index)
        coarse = np.stack([drawn.shape, drawn.colour, drawn.motion], axis=1)
    generator = np.random.default_rng(world.config.seed)
    images, labels = [], []
    for start in range(0, len(index), _CHUNK):
        piece = slice(start, start + _CHUNK)
        clips = world.clips(index[piece], coarse[piece])
        count, length = clips.video.shape[:2]
        images.append(clips.video[np.arange(count), generator.integers(length, size=count)])
        labels.append(clips.factors())
    pixels = np.concatenate(images).astype(np.float32) / 255
    return Frames(pixels, {name: np.concatenate([x[name] for x in labels]) for name in labels[0]})


@dataclasses.dataclass(frozen=True)
class Questions:
    """Frames for fitting models, and for training and testing probes."""

    fit: Frames
    probe: Frames
    test: Frames


def make_questions(config: ml_collections.ConfigDict) -> Questions:
    """Generate the frames.

    Args:
      config: a comparison's configuration, as in projects/narrated_world/config.py.
    """

    def seeded(seed: int) -> narrated_world.NarratedWorld:
        settings = ml_collections.ConfigDict(config.world.to_dict())
        settings.seed = seed
        return narrated_world.NarratedWorld(settings)

    images, scoring = config.images, config.scoring
    coarse = np.tile(narrated_world.all_combinations(), (images.galleries, 1))
    return Questions(
        fit=make_frames(seeded(images.fit_seed), np.arange(images.fit_frames)),
        probe=make_frames(seeded(scoring.probe_seed), np.arange(images.probe_frames)),
        test=make_frames(seeded(scoring.seed), np.arange(len(coarse)), coarse),
    )


def score(
    model: EmbeddingGraph, questions: Questions, config: ml_collections.ConfigDict
) -> dict[str, Any]:
    """Deflate, fit and probe a model.

    Args:
      model: the model.
      questions: see `make_questions`.
      config: see `default_config`.

    Returns:
      "probe": stage or "clip" -> factor -> accuracy; "fit": the report of `fit_deflated`.
    """
    num_frames = model.metadata["num_frames"]
    image_model = deflation.deflate_naively(model)

    @tf.function(input_signature=[_images_spec(questions)], autograph=False)
    def deflated(images: tf.Tensor) -> tf.Tensor:
        return image_model.features(images)

    @tf.function(input_signature=[_images_spec(questions)], autograph=False)
    def inflated(images: tf.Tensor) -> tf.Tensor:
        return static_features(model, images, num_frames)

    def probe(features: Callable[[tf.Tensor], tf.Tensor]) -> dict[str, float]:
        found = []
        for frames in (questions.probe, questions.test):
            starts = range(0, len(frames.images), _CHUNK)
            pieces = (tf.constant(frames.images[start : start + _CHUNK]) for start in starts)
            found.append(np.concatenate([features(piece).numpy() for piece in pieces]))
        return factor_probe(found[0], questions.probe.labels, found[1], questions.test.labels)

    probes: dict[str, dict[str, float]] = {}
    report = deflation.fit_deflated(
        model,
        image_model,
        questions.fit.images,
        questions.test.images,
        num_frames=num_frames,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        pointwise_epochs=config.pointwise_epochs,
        on_stage=lambda stage: probes.update({stage: probe(deflated)}),
    )
    probes[CLIP] = probe(inflated)
    return {"probe": probes, "fit": report}


def _images_spec(questions: Questions) -> tf.TensorSpec:
    return tf.TensorSpec([None, *questions.test.images.shape[1:]], tf.float32)


def run(
    config: ml_collections.ConfigDict,
    directory: pathlib.Path,
    on_scored: Callable[[str, int, dict[str, Any]], None] = lambda name, seed, scores: None,
) -> dict[str, Any]:
    """Score the models of a finished comparison.

    Args:
      config: the comparison's configuration; `config.images` lists the variants, which are scored
        for all seeds.
      directory: the comparison's folder; images.json is written to it after each model. Existing
        results with the same settings are kept.
      on_scored: called with variant, seed and scores after each model.

    Returns:
      The contents of images.json: "config"; "chance": factor -> share; "runs": variant -> seed ->
      scores (see `score`), with "seconds".

    Raises:
      ValueError: a model does not exist, or the file was written with other settings.
    """
    path = directory / RESULTS_FILE
    settings = json.loads(config.images.to_json())
    results = {"config": settings, "chance": dict(narrated_world.CHANCE), "runs": {}}
    if path.exists():
        results = read_json(path, {"config": {}, "runs": {str: {}}})
        if results["config"] != settings:
            raise ValueError(f"{path} was made with other settings; remove it.")
    questions = None
    for name in config.images.variants:
        for seed in config.seeds:
            if str(seed) in results["runs"].get(name, {}):
                continue
            begun = time.monotonic()
            model = load_model(directory / MODELS_FOLDER / f"{name}_{seed}.keras")
            questions = questions or make_questions(config)
            scores = score(model, questions, config.images)
            scores["seconds"] = time.monotonic() - begun
            results["runs"].setdefault(name, {})[str(seed)] = scores
            write_json(results, path)
            on_scored(name, seed, scores)
    return results
