# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training objective: weighted losses over pairs of modalities, ignoring missing rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mmv_tf.losses.contrastive import Gather, loss_sum_and_count

# Pairs by the names that configs and logs use.
PAIRS = {"va": ("video", "audio"), "vt": ("video", "text"), "at": ("audio", "text")}


@dataclasses.dataclass(frozen=True)
class Objective:
    """L = sum over pairs of weight * loss (MMV, Alayrac et al., 2020).

    Attributes:
      weights: pair -> weight. MMV weights video-audio and video-text 1:1 on HowTo100M with
        AudioSet (10:1 on HowTo100M alone, presumably 10 for video-text); FAC has no audio-text
        term.
      temperature: temperature of every pair; 0.07 in the paper.
      symmetric, chunk_rows: see `mil_nce`.
      textless_negatives: for pairs with text; see `mil_nce`.

    Raises:
      ValueError: a pair is unknown, or no weight is positive.
    """

    weights: Mapping[str, float]
    temperature: float = 0.07
    symmetric: bool = False
    chunk_rows: int = 0
    textless_negatives: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.weights) - set(PAIRS))
        if unknown:
            raise ValueError(f"Unknown pair {unknown[0]!r}; pairs are {tuple(PAIRS)}.")
        if not self.pairs:
            raise ValueError(f"No pair has a positive weight: {dict(self.weights)}.")

    @property
    def pairs(self) -> tuple[str, ...]:
        """Pairs with a positive weight."""
        return tuple(pair for pair in PAIRS if self.weights.get(pair, 0.0) > 0)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that the pairs need."""
        needed = {modality for pair in self.pairs for modality in PAIRS[pair]}
        return tuple(sorted(needed, key=("video", "audio", "text").index))

    def __call__(
        self,
        embeddings: Mapping[str, tf.Tensor],
        valid: Mapping[str, Any],
        gather: Gather | None = None,
        ids: Any = None,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Compute the loss.

        Args:
          embeddings: for each pair, both members in the pair's space: "va/video" [B, D],
            "vt/text" [B, P, D], ...
          valid: modality -> [B] booleans ([B, P] for text).
          gather, ids: see `mil_nce`.

        Returns:
          This replica's share of the weighted sum and of each pair's loss, and the number of valid
          rows of each pair over all replicas (not a share).
        """
        total = tf.zeros([])
        terms, counts = {}, {}
        for pair in self.pairs:
            first, second = PAIRS[pair]
            left, right = embeddings[f"{pair}/{first}"], embeddings[f"{pair}/{second}"]
            rows = valid.get(first)
            candidates = valid.get(second)
            if right.shape.rank == 2:
                right = right[:, tf.newaxis]
                candidates = None if candidates is None else candidates[:, tf.newaxis]
            loss, count = loss_sum_and_count(
                left,
                right,
                self.temperature,
                rows,
                candidates,
                gather,
                self.symmetric,
                self.chunk_rows,
                self.textless_negatives and second == "text",
                ids,
            )
            terms[pair] = tf.math.divide_no_nan(loss, count)
            counts[pair] = count
            total += self.weights[pair] * terms[pair]
        return total, terms, counts
