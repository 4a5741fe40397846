# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine and coarse (FAC): a video-audio space, and a video-audio-text space on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from mmv_tf.graphs.base import GRAPHS, EmbeddingGraph
from mmv_tf.layers import LogMel, ProjectionHead, WordTokenizer
from mmv_tf.layers.base import float32_policy

_VARIANTS: dict[str, str | None] = {"fac": None, "fac_relu": "relu", "fac_bnrelu": "bnrelu"}


@GRAPHS.register("fac")
@keras.saving.register_keras_serializable("mmv_tf")
class FineAndCoarse(EmbeddingGraph):
    """Spaces "va" (video, audio) and "vat" (all three); one shared map leads from "va" to "vat".

    Text is embedded only in "vat". Audio reaches "vat" through the map that video trains, so audio
    and text can be compared without training on audio-text pairs. Unless `audio_text` is set, audio
    passes through this map in inference mode and does not change its batch statistics, as in the
    released code (deepmind/deepmind-research, mmv/).

    Args:
      fine_dim: size of "va"; 512 in the paper.
      coarse_dim: size of "vat"; 256 in the paper.
      hidden_dim: size of the video head's hidden layer; 512 in the released models.
      variant: operations before the coarse map: "fac" (none), "fac_relu" (ReLU, as released) or
        "fac_bnrelu" (batch norm and ReLU).
      audio_text: whether to train on audio-text pairs too.
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
        fine_dim: int = 512,
        coarse_dim: int = 256,
        hidden_dim: int = 512,
        variant: str = "fac_relu",
        audio_text: bool = False,
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
        if variant not in _VARIANTS:
            raise ValueError(f"variant is {variant!r}; use one of {tuple(_VARIANTS)}.")
        self.fine_dim = fine_dim
        self.coarse_dim = coarse_dim
        self.hidden_dim = hidden_dim
        self.variant = variant
        self.audio_text = audio_text
        policy = float32_policy(self.dtype_policy)
        self.video_to_fine = ProjectionHead(
            fine_dim, hidden=hidden_dim, output_norm=True, dtype=policy
        )
        self.fine_to_coarse = ProjectionHead(
            coarse_dim, activation=_VARIANTS[variant], output_norm=True, dtype=policy
        )
        self.audio_to_fine = ProjectionHead(fine_dim, dtype=policy) if self.audio else None
        self.text_to_coarse = ProjectionHead(coarse_dim, dtype=policy) if self.text else None
        self.build_towers()

    def chain(self, modality: str) -> list[tuple[str, ProjectionHead, str]]:
        """Return the path from a modality to its spaces; see `EmbeddingGraph.chain`."""
        if modality == "text":
            coarse: Any = self.text_to_coarse
            return [("vat", coarse, "before_head")]
        fine: Any = self.video_to_fine if modality == "video" else self.audio_to_fine
        return [("va", fine, "before_head"), ("vat", self.fine_to_coarse, "va")]

    def trains_head(self, modality: str, space: str) -> bool:
        """Return True, except for audio in "vat" without `audio_text`."""
        return modality != "audio" or space == "va" or self.audio_text

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "fine_dim": self.fine_dim,
            "coarse_dim": self.coarse_dim,
            "hidden_dim": self.hidden_dim,
            "variant": self.variant,
            "audio_text": self.audio_text,
        }
