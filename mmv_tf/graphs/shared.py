# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shared: one space for all modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from mmv_tf.graphs.base import GRAPHS, EmbeddingGraph
from mmv_tf.layers import LogMel, ProjectionHead, WordTokenizer
from mmv_tf.layers.base import float32_policy


@GRAPHS.register("shared")
@keras.saving.register_keras_serializable("mmv_tf")
class Shared(EmbeddingGraph):
    """One space, "vat", for video, audio and text, with one head each.

    Args:
      dim: size of the space; 512 in the paper.
      hidden_dim: size of the video head's hidden layer; 512 in the released code.
      video, audio, text, tokenizer, log_mel, metadata, check_inputs, name, trainable, dtype: see
        `EmbeddingGraph`.
    """

    def __init__(
        self,
        video: keras.layers.Layer | None = None,
        audio: keras.layers.Layer | None = None,
        text: keras.layers.Layer | None = None,
        tokenizer: WordTokenizer | None = None,
        log_mel: LogMel | None = None,
        metadata: Mapping[str, Any] | None = None,
        check_inputs: str = "eager",
        *,
        dim: int = 512,
        hidden_dim: int = 512,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ):
        super().__init__(
            video,
            audio,
            text,
            tokenizer,
            log_mel,
            metadata,
            check_inputs,
            name=name,
            trainable=trainable,
            dtype=dtype,
        )
        self.dim = dim
        self.hidden_dim = hidden_dim
        policy = float32_policy(self.dtype_policy)
        self.video_head = ProjectionHead(dim, hidden=hidden_dim, output_norm=True, dtype=policy)
        self.audio_head = ProjectionHead(dim, dtype=policy) if self.audio else None
        self.text_head = ProjectionHead(dim, dtype=policy) if self.text else None
        self.build_towers()

    def chain(self, modality: str) -> list[tuple[str, ProjectionHead, str]]:
        """Return the path from a modality to its spaces; see `EmbeddingGraph.chain`."""
        head: Any = {"video": self.video_head, "audio": self.audio_head, "text": self.text_head}[
            modality
        ]
        return [("vat", head, "before_head")]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "hidden_dim": self.hidden_dim}
