# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration of the label efficiency study.

`python -m projects.label_efficiency` runs the study; its results are in
docs/measurements/label_efficiency.md. All values are ours; none was chosen based on the results.
"""

from __future__ import annotations

import dataclasses

import ml_collections

from mmv_tf.classification.fine_tuning import recipe
from mmv_tf.util.configuration import choose
from projects.narrated_world import config as narrated_world_config


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Return the configuration.

    Args:
      arg: "" for the study, "runlocal" for a few steps with tiny models, to check that
        everything runs.
    """
    size = choose(arg, {"size": ("full", "runlocal")})["size"]
    config = ml_collections.ConfigDict()
    config.seeds = (0, 1, 2)
    config.shares = (0.01, 0.02, 0.05, 0.1, 1.0)

    # The network, trained without labels; change it with config.network.training.steps=... etc.
    base = "runlocal" if size == "runlocal" else ""
    config.network = narrated_world_config.get_config(base).copy_and_resolve_references()
    config.network.unlock()
    config.variant = "fac"
    config.network.pool_clips = 8192
    config.network.training.steps = 600
    # Wide enough for ESC-10; the same width as in benchmarks/esc10.py.
    config.network.model.audio.width = 0.5
    config.network.model.log_mel.mel_bins = 64

    # The recipe of the protocol esc10_fine_tune, for both data sets and both starting points.
    config.fine_tune = ml_collections.ConfigDict(dataclasses.asdict(recipe("audio")))
    # With few labels, epochs are short; there are then more epochs, for at least this many steps.
    config.min_steps = 100
    # The penalty for a linear classifier with too few labels to choose one.
    config.penalty = 0.01

    config.world = ml_collections.ConfigDict(
        {
            "factor": "motion",
            "train_clips": 1000,
            "galleries": 2,  # test clips: each gallery has every combination of facts once
            "epochs": 15,
        }
    )
    # The test folds of each seed; with all labels, one run takes minutes.
    config.esc10 = ml_collections.ConfigDict({"folds": (("1",), ("2",), ("3",))})

    if size == "runlocal":
        config.seeds = (0,)
        config.shares = (0.02, 0.03)  # one example of each class
        config.network.pool_clips = 16
        config.network.model.audio.width = 0.0625
        config.network.training.steps = 1
        config.min_steps = 1
        config.fine_tune.epochs = config.world.epochs = 1
        config.world.train_clips = 48
        config.world.galleries = 1
        config.esc10.folds = (("1",),)
    return config.lock()
