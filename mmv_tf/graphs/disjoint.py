# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Disjoint: one space for video and audio, another for video and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from mmv_tf.graphs.base import GRAPHS, EmbeddingGraph
from mmv_tf.layers import LogMel, ProjectionHead, WordTokenizer
from mmv_tf.layers.base import float32_policy


@GRAPHS.register("disjoint")
@keras.saving.register_keras_serializable("mmv_tf")
class Disjoint(EmbeddingGraph):
    """Spaces "va" (video, audio) and "vt" (video, text); audio and text can't be compared.

    Args:
      dim: size of both spaces; 512 in the paper.
      hidden_dim: size of the video heads' hidden layers; 512 in the released code. If None, each
        head is a single linear map, as in MIL-NCE's model (Miech et al., arXiv 1912.06430).
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
        hidden_dim: int | None = 512,
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

        def video_head(wanted: bool) -> ProjectionHead | None:
            if not wanted:
                return None
            norm = hidden_dim is not None
            return ProjectionHead(dim, hidden=hidden_dim, output_norm=norm, dtype=policy)

        self.video_to_audio = video_head(self.audio is not None)
        self.video_to_text = video_head(self.text is not None)
        self.audio_to_video = ProjectionHead(dim, dtype=policy) if self.audio else None
        self.text_to_video = ProjectionHead(dim, dtype=policy) if self.text else None
        self.build_towers()

    def chain(self, modality: str) -> list[tuple[str, ProjectionHead, str]]:
        """Return the path from a modality to its spaces; see `EmbeddingGraph.chain`."""
        heads = {
            "video": {"va": self.video_to_audio, "vt": self.video_to_text},
            "audio": {"va": self.audio_to_video},
            "text": {"vt": self.text_to_video},
        }[modality]
        return [(space, head, "before_head") for space, head in heads.items() if head is not None]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "dim": self.dim, "hidden_dim": self.hidden_dim}
