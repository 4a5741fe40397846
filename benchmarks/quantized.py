# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures what quantizing costs: retrieval and linear probes on the narrated world.

  python -m benchmarks.quantized --model=world/model.keras

Trains FAC on the narrated world, or reads it from --model if the file exists. Its video backbone is
quantized with 300 training clips, and scored on the same 2,160 test clips in each precision. Needs
the extra quantize. Prints one line of JSON.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
from absl import app, flags

from benchmarks.measure import print_result
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.graphs.precision import in_precision
from mmv_tf.inference import Encoder, GraphNetwork, as_encoder
from mmv_tf.inference.openvino_network import OpenVinoNetwork
from mmv_tf.inference.quantization import Quantized, quantize_video
from mmv_tf.training import load_model, save_model
from projects.narrated_world import comparison, scoring
from projects.narrated_world.config import get_config

_MODEL = flags.DEFINE_string("model", None, "File to keep the trained model in.", required=True)
_STEPS = flags.DEFINE_integer("steps", None, "Training steps; default: the configuration's.")
_CLIPS = flags.DEFINE_integer("num_clips", 300, "Clips to calibrate on.", lower_bound=10)


def main(argv: list[str]) -> None:
    """Train, quantize, score and print."""
    del argv
    config = get_config()
    if _STEPS.value:
        config.training.steps = _STEPS.value
    study = comparison.Comparison(config)
    model = _trained(study, pathlib.Path(_MODEL.value))
    questions = scoring.make_questions(config.scoring, study.world())
    with tempfile.TemporaryDirectory() as folder:
        quantized = _quantize(model, study, pathlib.Path(folder) / "quantized")
        encoders = {
            "float32": as_encoder(model),
            "bfloat16": as_encoder(in_precision(model, "bfloat16")),
            "int8": Encoder(OpenVinoNetwork(model, quantized=quantized.path.parent)),
        }
        scores = {
            name: _video_scores(scoring.score(encoder, questions))
            for name, encoder in encoders.items()
        }
    print_result(
        "quantized",
        {"steps": config.training.steps, "calibration_clips": _CLIPS.value},
        cosines=quantized.cosines,
        scores=scores,
    )


def _trained(study: comparison.Comparison, path: pathlib.Path) -> EmbeddingGraph:
    if not path.exists():
        save_model(study.train("fac", 0, study.pool(study.world())), path)
    return load_model(path)


def _quantize(
    model: EmbeddingGraph, study: comparison.Comparison, folder: pathlib.Path
) -> Quantized:
    config = ml_collections.ConfigDict(study.config.to_dict())
    config.pool_clips = _CLIPS.value
    few = comparison.Comparison(config)
    clips = few.pool(few.world()).batch(np.arange(_CLIPS.value))["video"]
    pixels = np.round(255 * np.asarray(clips)).astype(np.uint8)
    return quantize_video(GraphNetwork(model), pixels, folder)


def _video_scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores that depend on video, in percent."""
    found = {
        f"{direction}, {name}": value
        for direction, recalls in scores["retrieval"].items()
        if "video" in direction
        for name, value in recalls.items()
    }
    for feature, factors in scores["probe"].items():
        if feature == "video/before_head":
            found |= {f"probe, {factor}": value for factor, value in factors.items()}
    return {name: round(100 * value, 2) for name, value in found.items()}


if __name__ == "__main__":
    app.run(main)
