# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training configuration of tools/small_job.py: four deterministic steps of a tiny model."""

from __future__ import annotations

import ml_collections

from mmv_tf import data, training


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Return the configuration, which accepts no argument."""
    del arg
    metadata = {"num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": True}
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "strategy": "one_device",
            "word_vectors": "",
            "unit_word_vectors": False,
            "model": {
                "graph": {"name": "fac", "fine_dim": 8, "coarse_dim": 4, "hidden_dim": 8},
                "video": {"backbone": "s3d", "width": 0.01, "blocks": (1, 1, 1)},
                "audio": {"depth": 18, "width": 0.0625},
                "text": {"dim": 8, "max_words": 4},
                "log_mel": {
                    "sample_rate": 8_000,
                    "window": 256,
                    "step": 128,
                    "mel_bins": 16,
                    "upper_hz": 3_500.0,
                },
                "metadata": metadata,
                "dtype": "float32",
            },
            "data": data.default_config(),
            "optimizer": training.default_optimizer_config(),
            "training": training.default_config(),
        }
    )
    for name, value in metadata.items():
        config.data[name] = value
    config.data.candidates = 2
    config.data.batch_size = 4
    config.optimizer.warmup_steps = 2
    config.training.steps = 4
    config.training.log_every = 1
    config.training.checkpoint_every_steps = 2
    config.training.deterministic = True
    return config
