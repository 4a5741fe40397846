# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The paper's S3D-G FAC model and a batch for it, for the training benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

import ml_collections
import tensorflow as tf

from mmv_tf.pretrained import preset_config

# Log-mel spectrograms of 3.2 s: 150 frames, 80 bins, as in VATT's code (Akbari et al., 2021).
_SOUND = (150, 80, 1)
_CANDIDATES, _WORDS = 5, 16


def fac_config(dtype: str = "float32") -> ml_collections.ConfigDict:
    """Return a config for `create_model`; "mixed_bfloat16" applies from the stems on."""
    config = preset_config("s3d_fac")
    config.dtype = dtype
    config.video.bfloat16_from, config.audio.bfloat16_from = "Conv2d_1a_7x7", "stem"
    return config


def fac_batch(shape: Sequence[int]) -> dict[str, tf.Tensor]:
    """Return random clips [B, T, H, W, 3] with audio and narrations, none missing."""
    clips = shape[0]
    return {
        "video": tf.random.stateless_uniform(shape, [0, 0]),
        "audio": tf.random.stateless_normal([clips, *_SOUND], [0, 1]),
        "text": tf.random.stateless_uniform(
            [clips, _CANDIDATES, _WORDS], [0, 2], 1, 65_536, tf.int32
        ),
        "valid/video": tf.ones([clips], tf.bool),
        "valid/audio": tf.ones([clips], tf.bool),
        "valid/text": tf.ones([clips, _CANDIDATES], tf.bool),
    }
