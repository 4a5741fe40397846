# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Held-out clips for a run's log: film strips, nearest sentences, similarities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmv_tf.training.logging import pictures

_NEAREST = 3  # Ours: sentences to list per clip.


@dataclasses.dataclass(frozen=True)
class HeldOutClips:
    """Held-out clips from an evaluation, and how similar their embeddings are.

    Attributes:
      names: names of the N clips that were evaluated.
      sentences: their sentences; "" for a clip without one.
      shown: indices of the n clips to show.
      frames: their frames, uint8 [n, T, H, W, 3].
      log_mels: their spectrograms, float32 [n, frames, mel_bins]; None if there is no audio.
      similarities: direction, such as "text_to_video" -> cosine similarities, float32 [N, N], of
        queries (rows) and items (columns). Rows and columns of clips without the modality are NaN.
    """

    names: tuple[str, ...]
    sentences: tuple[str, ...]
    shown: tuple[int, ...]
    frames: np.ndarray
    log_mels: np.ndarray | None
    similarities: Mapping[str, np.ndarray]

    def images(self) -> dict[str, np.ndarray]:
        """Return images by name, uint8 [H, W, 3]."""
        found = {
            f"similarities/{direction}": pictures.matrix(
                _present(cosines), "cosines; rows {0}, columns {2}".format(*direction.split("_"))
            )
            for direction, cosines in self.similarities.items()
            if np.isfinite(cosines).any()
        }
        for place, index in enumerate(self.shown):
            log_mel = None if self.log_mels is None else self.log_mels[place]
            lines = [self.names[index], *self._lines(index)]
            found[f"clips/{place + 1}"] = pictures.clip(self.frames[place], log_mel, lines)
        return found

    def texts(self) -> dict[str, str]:
        """Return texts by name, in Markdown; empty if there are no sentences."""
        rows = [
            f"| {_cell(self.names[index])} | {' <br> '.join(map(_cell, self._lines(index)))} |"
            for index in self.shown
        ]
        if "text_to_video" not in self.similarities or not rows:
            return {}
        return {"nearest_sentences": "\n".join(["| clip | sentences |", "|---|---|", *rows])}

    def _lines(self, index: int) -> list[str]:
        """Return a clip's sentence with its rank, and the nearest sentences with their cosines."""
        cosines = self.similarities.get("text_to_video")
        if cosines is None or not np.isfinite(cosines[:, index]).any():
            return []
        # NaN comes last.
        column = cosines[:, index]
        order = np.argsort(-column, kind="stable")
        count = int(np.isfinite(column).sum())
        lines = ["without a sentence"]
        if np.isfinite(column[index]):
            rank = int(np.flatnonzero(order == index)[0]) + 1
            lines = [f"own sentence, rank {rank} of {count}: {self.sentences[index]}"]
        return lines + [
            f"{column[other]:.2f}  {self.sentences[other]}"
            + ("  (its own)" if other == index else "")
            for other in order[: min(_NEAREST, count)]
        ]


def _present(cosines: np.ndarray) -> np.ndarray:
    """Return a matrix without the clips that lack a modality."""
    rows = np.isfinite(cosines).any(axis=1) & np.isfinite(cosines).any(axis=0)
    return cosines[np.ix_(rows, rows)]


def _cell(text: str) -> str:
    """Return a text for a Markdown table cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
