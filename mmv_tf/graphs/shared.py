# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shared: one space for all modalities."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.graphs.base import EmbeddingGraph
from mmv_tf.layers import ProjectionHead


@keras.saving.register_keras_serializable("mmv_tf")
class Shared(EmbeddingGraph):
    """One space, "vat", that video, audio and text all reach, each by one head.

    Args:
      dim: of the space; 512 in the paper.
      hidden_dim: of the video head's hidden layer; 512 in the released code.
      Others: see `EmbeddingGraph`.
    """

    def __init__(self, *args: Any, dim: int = 512, hidden_dim: int = 512, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dim = dim
        self.hidden_dim = hidden_dim
        policy = self.dtype_policy
        self.video_head = ProjectionHead(dim, hidden=hidden_dim, output_norm=True, dtype=policy)
        self.audio_head = ProjectionHead(dim, dtype=policy) if self.audio else None
        self.text_head = ProjectionHead(dim, dtype=policy) if self.text else None
        self.build_towers()

    def heads(self) -> list[tuple[keras.layers.Layer, int]]:
        """See the base class."""
        candidates = [
            (self.video_head, self.video),
            (self.audio_head, self.audio),
            (self.text_head, self.text),
        ]
        return [(head, tower.feature_dim) for head, tower in candidates if head is not None]

    def spaces(self, modality: str) -> tuple[str, ...]:
        """See the base class."""
        return ("vat",)

    def space_dims(self, modality: str) -> dict[str, int]:
        """See the base class."""
        return {"vat": self.dim}

    def project(
        self, modality: str, features: tf.Tensor, training: bool, valid: Any
    ) -> dict[str, tf.Tensor]:
        """See the base class."""
        head = {"video": self.video_head, "audio": self.audio_head, "text": self.text_head}[modality]
        return {"vat": head(features, training=training, valid=valid)}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "hidden_dim": self.hidden_dim}
