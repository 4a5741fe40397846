# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration for comparing MMV's graphs, losses and numbers of candidates on generated clips.

`python -m projects.narrated_world` runs the comparison; docs/measurements/narrated_world.md lists
its results. All values are ours unless marked otherwise; they were chosen on the world with seed 1.
"""

from __future__ import annotations

from typing import Any

import ml_collections

from mmv_tf import training
from mmv_tf.util.configuration import choose
from projects import narrated_world
from projects.narrated_world import images
from projects.narrated_world import scoring as scoring


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Return the configuration.

    Args:
      arg: "" for the table, "validation" to score on the world reserved for choosing settings,
        "runlocal" for a few steps with tiny models, to check that everything runs.
    """
    chosen = choose(arg, {"world": ("test", "validation"), "size": ("full", "runlocal")})
    config = ml_collections.ConfigDict()
    config.strategy = "one_device"
    config.seeds = (0, 1, 2, 3, 4)
    config.pool_clips = 12288  # the same clips for all models

    # The table's columns. A weight of 0 omits the pair, and any backbone that only this pair needs;
    # if all weights are 0, nothing is trained. VA and VT have a single space, so their graph does
    # not matter (MMV, Alayrac et al., 2020, Table 1).
    def variant(
        title: str, graph: str, va: float, vt: float, at: float = 0.0, candidates: int = 5
    ) -> dict[str, Any]:
        weights = {"va": va, "vt": vt, "at": at}
        return {"title": title, "graph": graph, "weights": weights, "candidates": candidates}

    config.variants = ml_collections.ConfigDict(
        {
            "untrained": variant("untrained", "fac", 0.0, 0.0),
            # MMV (Alayrac et al., 2020): equal weights on HowTo100M with AudioSet.
            "fac": variant("FAC", "fac", 1.0, 1.0),
            # Not in the paper, which leaves open whether to train audio against text.
            "fac_at": variant("FAC with audio-text", "fac_audio_text", 1.0, 1.0, 1.0),
            "fac_p1": variant("FAC, P = 1", "fac", 1.0, 1.0, candidates=1),
            "disjoint": variant("Disjoint", "disjoint", 1.0, 1.0),
            "shared": variant("Shared", "shared", 1.0, 1.0),
            "va": variant("NCE only (VA)", "disjoint", 1.0, 0.0),
            "vt": variant("MIL-NCE only (VT)", "disjoint", 0.0, 1.0),
        }
    )
    config.run = ("untrained", "fac", "fac_at", "fac_p1", "disjoint", "shared", "va", "vt")

    # As in the paper, all spaces except FAC's coarse space have the same size.
    fac = {"fine_dim": 128, "coarse_dim": 64, "hidden_dim": 128}
    config.graphs = ml_collections.ConfigDict(
        {
            "fac": {"name": "fac", **fac},
            "fac_audio_text": {"name": "fac", **fac, "audio_text": True},
            "disjoint": {"name": "disjoint", "dim": 128, "hidden_dim": 128},
            "shared": {"name": "shared", "dim": 128, "hidden_dim": 128},
        }
    )
    config.model = ml_collections.ConfigDict(
        {
            "video": {
                "backbone": "s3d",
                "stem": "space_to_depth",
                "width": 0.125,
                "blocks": (1, 1, 1),
            },
            "audio": {"depth": 18, "width": 0.125},
            # Random, frozen word vectors: no prior knowledge of synonyms.
            "text": {"embedding_dim": 64, "dim": 256, "mask_padding": True, "max_words": 12},
            "log_mel": {"sample_rate": 16_000, "window": 1024, "step": 512, "mel_bins": 40},
            "dtype": "float32",
        }
    )

    config.world = narrated_world.default_config()
    config.world.size = 32

    config.optimizer = training.default_optimizer_config()
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 50

    config.training = training.default_config()
    config.training.steps = 1500
    config.training.checkpoint_every_seconds = 3600.0
    config.training.keep_checkpoints = 1

    config.scoring = scoring.default_config()
    config.images = images.default_config()
    if chosen["world"] == "validation":
        config.scoring.seed = 1
    if chosen["size"] == "runlocal":
        config.seeds = (0,)
        config.pool_clips = 32
        config.model.video.width = 0.0625
        config.model.audio.width = 0.0625
        config.world.size = 32
        config.world.batch_size = 8
        config.training.steps = 2
        config.optimizer.warmup_steps = 1
        config.scoring.galleries = 1
        config.scoring.groups = 2
        config.scoring.group_clips = 12
        config.scoring.probe_clips = 64
        config.images.variants = ("untrained",)
        config.images.fit_frames = 64
        config.images.epochs = config.images.pointwise_epochs = 1
        config.images.galleries = 1
        config.images.probe_frames = 64
    return config.lock()
