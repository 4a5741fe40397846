# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Quickstart: a small FAC model on one ten-minute video, in minutes on two cores.

All values are ours. They were chosen by cross-validation within the video's training blocks;
docs/quickstart.md describes how, and how the test blocks had been used before. On your own data,
the run trains on the split "train" and evaluates retrieval on the split "validation", if it exists;
`make quickstart` trains on both, see `mmv_tf.quickstart`.
"""

from __future__ import annotations

import ml_collections

from mmv_tf import data, training
from mmv_tf.util.configuration import choose


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """Return the configuration.

    Args:
      arg: "runlocal" for a few steps with a tiny model, to check that everything runs.
    """
    small = choose(arg, {"size": ("full", "runlocal")})["size"] == "runlocal"
    config = ml_collections.ConfigDict()
    config.seed = 0
    config.strategy = "one_device"
    config.init_from = ""  # a model from whose weights to start; see docs/finetuning.md
    config.init_partial = False  # start parts that do not match with random weights
    config.init_vocabulary = ""  # the vocabulary for a released file in init_from
    config.word_vectors = ""  # a file for `load_word_vectors`; set by the program
    config.unit_word_vectors = True  # GloVe's lengths reflect how common a word is

    config.model = ml_collections.ConfigDict(
        {
            "graph": {"name": "fac", "fine_dim": 256, "coarse_dim": 128, "hidden_dim": 256},
            "video": {"backbone": "s3d", "width": 0.25, "blocks": (1, 2, 1)},
            "audio": {"depth": 18, "width": 0.25},
            "text": {"embedding_dim": 50, "dim": 512, "mask_padding": True},
            "log_mel": {},
            "dtype": "float32",
        }
    )

    config.data = data.default_config()
    config.data.num_frames = 8  # 3.2 s, the length of the paper's clips
    config.data.frame_rate = 2.5
    config.data.size = 64
    config.data.square_crop = False
    config.data.candidates = 2
    config.data.batch_size = 48
    config.data.audio_mask = 0.5
    config.data.audio_gain = 0.5
    config.data.audio_noise = 0.3
    config.data.word_dropout = 0.4
    config.data.shuffle_buffer = 256

    config.optimizer = training.default_optimizer_config()
    config.optimizer.learning_rate = 1.5e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.weight_decay = 0.05

    config.training = training.default_config()
    config.training.steps = 300
    config.training.average_decay = 0.98
    config.training.temperature = 0.2  # the paper's 0.07 overfits these few clips
    config.training.checkpoint_every_seconds = 30.0

    if small:
        config.model.video.width = 0.0625
        config.model.video.blocks = (1, 1, 1)
        config.model.audio.width = 0.125
        config.model.text.dim = 64
        config.data.num_frames = 4
        config.data.size = 32
        config.data.batch_size = 4
        config.training.steps = 4
        config.optimizer.warmup_steps = 1
    return config.lock()
