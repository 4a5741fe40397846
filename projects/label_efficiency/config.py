# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration of the study of labels.

`python -m projects.label_efficiency` runs the study; docs/measurements/label_efficiency.md has its
results. All numbers here are ours; none was chosen by the results of the study.
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
      arg: "" for the study, "runlocal" for a few steps of tiny models, to check that everything
        runs.
    """
    size = choose(arg, {"size": ("full", "runlocal")})["size"]
    config = ml_collections.ConfigDict()
    config.seeds = (0, 1, 2)
    config.shares = (0.01, 0.02, 0.05, 0.1, 1.0)

    # The network, trained without labels; config.network.training.steps=... and the like change it.
    base = "runlocal" if size == "runlocal" else ""
    config.network = narrated_world_config.get_config(base).copy_and_resolve_references()
    config.network.unlock()
    config.variant = "fac"
    config.network.pool_clips = 8192
    config.network.training.steps = 600
    # Wide enough for ESC-10; that of benchmarks/esc10.py.
    config.network.model.audio.width = 0.5
    config.network.model.log_mel.mel_bins = 64

    # The recipe of the protocol esc10_fine_tune, for both data sets and for both beginnings.
    config.fine_tune = ml_collections.ConfigDict(dataclasses.asdict(recipe("audio")))
    # Few labels make short epochs; then there are more, for at least so many steps.
    config.min_steps = 100
    # Of a linear classifier whose labels are too few to choose one.
    config.penalty = 0.01

    config.world = ml_collections.ConfigDict(
        {
            "factor": "motion",
            "train_clips": 1000,
            "galleries": 2,  # test clips: each gallery has every combination of facts once
            "epochs": 15,
        }
    )
    # The test folds of each seed; with all labels one run takes minutes.
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
