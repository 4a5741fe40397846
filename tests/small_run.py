# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a short training run of the little film: --config=tests/small_run.py."""

from __future__ import annotations

import ml_collections

from mmv_tf import training
from tests import small_world


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Six deterministic steps.

    Args:
      arg: "" for all modalities; "silent" to train pictures and text alone, which is quicker.
    """
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "strategy": "one_device",
            "word_vectors": "",
            "unit_word_vectors": False,
            "model": small_world.model_config(),
            "data": small_world.data_config(""),
            "optimizer": training.default_optimizer_config(),
            "training": training.default_config(),
        }
    )
    config.training.steps = 6
    config.training.log_every = 1
    config.training.checkpoint_every_seconds = 0.0
    config.training.deterministic = True
    config.optimizer.warmup_steps = 2
    if arg == "silent":
        config.training.weights = {"va": 0.0, "vt": 1.0}
        del config.model.audio
    return config
