# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How near a deflated network comes to the original on static clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def static_clips(images: tf.Tensor, num_frames: int) -> tf.Tensor:
    """[B, H, W, C] -> [B, T, H, W, C], every frame the image."""
    return tf.repeat(images[:, tf.newaxis], num_frames, axis=1)


def static_features(model: Any, images: tf.Tensor, num_frames: int) -> tf.Tensor:
    """A video network's `before_head` of static clips of images [B, H, W, C], [B, d]."""
    return model({"video": static_clips(images, num_frames)})["video"]["before_head"]


def agreement(features: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """How near features are to targets, both float [N, d].

    Returns:
      "l1" (mean absolute difference), "cosine" (mean over rows), "relative_error" (norm of the
      difference over the norm of the targets).
    """
    difference = features - targets
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(targets, axis=1)
    cosine = (features * targets).sum(axis=1) / np.maximum(lengths, 1e-12)
    return {
        "l1": float(np.abs(difference).mean()),
        "cosine": float(cosine.mean()),
        "relative_error": float(
            np.linalg.norm(difference) / np.maximum(np.linalg.norm(targets), 1e-12)
        ),
    }
