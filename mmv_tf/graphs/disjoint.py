# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Disjoint: one space for video and audio, another for video and text."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.graphs.base import EmbeddingGraph
from mmv_tf.layers import ProjectionHead


@keras.saving.register_keras_serializable("mmv_tf")
class Disjoint(EmbeddingGraph):
    """Spaces "va" (video, audio) and "vt" (video, text); audio and text can't be compared.

    Args:
      dim: of both spaces; 512 in the paper.
      hidden_dim: of the video heads' hidden layers; 512 in the released code.
      Others: see `EmbeddingGraph`.
    """

    def __init__(self, *args: Any, dim: int = 512, hidden_dim: int = 512, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dim = dim
        self.hidden_dim = hidden_dim
        policy = self.dtype_policy

        def video_head(wanted: bool) -> ProjectionHead | None:
            if not wanted:
                return None
            return ProjectionHead(dim, hidden=hidden_dim, output_norm=True, dtype=policy)

        self.video_to_audio = video_head(self.audio is not None)
        self.video_to_text = video_head(self.text is not None)
        self.audio_to_video = ProjectionHead(dim, dtype=policy) if self.audio else None
        self.text_to_video = ProjectionHead(dim, dtype=policy) if self.text else None
        self.build_towers()

    def heads(self) -> list[tuple[keras.layers.Layer, int]]:
        """See the base class."""
        candidates = [
            (self.video_to_audio, self.video),
            (self.video_to_text, self.video),
            (self.audio_to_video, self.audio),
            (self.text_to_video, self.text),
        ]
        return [(head, tower.feature_dim) for head, tower in candidates if head is not None]

    def spaces(self, modality: str) -> tuple[str, ...]:
        """See the base class."""
        reached = {"video": ("va", "vt"), "audio": ("va",), "text": ("vt",)}[modality]
        missing = {"va": self.audio is None, "vt": self.text is None}
        return tuple(space for space in reached if not missing[space])

    def space_dims(self, modality: str) -> dict[str, int]:
        """See the base class."""
        return {space: self.dim for space in self.spaces(modality)}

    def project(
        self, modality: str, features: tf.Tensor, training: bool, valid: Any
    ) -> dict[str, tf.Tensor]:
        """See the base class."""
        heads = {
            "video": {"va": self.video_to_audio, "vt": self.video_to_text},
            "audio": {"va": self.audio_to_video},
            "text": {"vt": self.text_to_video},
        }[modality]
        return {
            space: heads[space](features, training=training, valid=valid)
            for space in self.spaces(modality)
        }

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "hidden_dim": self.hidden_dim}
