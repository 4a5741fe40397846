# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Extracts features from windows of one modality."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mmv_tf.data.reading.value_checks import check_windows
from mmv_tf.deflation import ImageEncoder
from mmv_tf.evaluation.listing import shown
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder

logger = logging.getLogger(__name__)


class Extractor:
    """Computes a model's features for windows of one modality.

    Args:
      encoder: the model.
      modality: "video", "audio", "image" or "text".
      names: features: "before_head", spaces, and for audio "last_conv" (averaged over time and
        frequency).
      batch_size: windows per batch.
      static_clips: embed images as static clips if there is no deflated model.

    Raises:
      ValueError: the model lacks this modality or feature.
    """

    def __init__(
        self,
        encoder: Encoder | EmbeddingGraph | ImageEncoder,
        modality: str,
        names: Sequence[str] = ("before_head",),
        batch_size: int = 8,
        static_clips: bool = False,
    ):
        self.encoder = as_encoder(encoder)
        self.network = self.encoder.network
        self.modality = modality
        self.names = tuple(names)
        self.batch_size = batch_size
        seen_as = self.encoder.embedded_as(modality) if static_clips else modality
        self.network.check_input(seen_as)
        if modality == "audio":
            self.encoder.require(["sample_rate"], "it can't read audio")
        features = self.network.dims(seen_as)
        for name in names:
            if name not in features:
                raise ValueError(f"{modality} has no {name!r}; it has {sorted(features)}.")

    def __call__(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the features of windows, name -> float32 [windows, dim].

        Args:
          windows: windows from one or more items, from `views.read_views`; for text, sentences.
            Those without a known word all get the same embedding, and a warning counts them.

        Raises:
          ValueError: a window has an unexpected dtype or range or a NaN, or a feature is not
            finite.
        """
        check_windows(self.modality, np.asarray(windows))
        if self.modality == "text":
            self._warn_of_unknown(list(windows))
        if self.modality in self.network.modalities:
            found = self.network.run(self.modality, windows, self.batch_size)
        else:
            found = self.encoder.embed_image(windows)
        return {name: found[name] for name in self.names}

    def of_items(self, items: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Return the features of each item's windows, batching the windows of several items."""
        found = self(np.concatenate(items))
        ends = np.cumsum([len(windows) for windows in items])[:-1]
        parts = {name: np.split(values, ends) for name, values in found.items()}
        return [{name: parts[name][row] for name in self.names} for row in range(len(items))]

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Return whether each sentence contains a word known to the model, booleans [N]."""
        return self.network.known(sentences)

    def _warn_of_unknown(self, sentences: Sequence[str]) -> None:
        known = self.known(sentences)
        mute = [str(text) for text, there in zip(sentences, known, strict=True) if not there]
        if mute:
            logger.warning(
                "%d of %d sentences contain no word known to the model and all get the same "
                "embedding: %s.", len(mute), len(sentences), shown(mute),
            )  # fmt: skip

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model's audio, in Hz; 0 for a model without audio."""
        return self.network.settings.sample_rate or 0
