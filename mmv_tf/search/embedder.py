# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""An encoder as search uses it: sentences, pictures, sounds and clips to unit vectors."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmv_tf.data.reading.value_checks import check_windows
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder, load_encoder, unit
from mmv_tf.inference.network import REPRESENTATIONS

# What is looked for in: what a window shows and what it sounds like.
VISION, SOUND = "video", "audio"


class Embedder:
    """Embeds windows and queries for an index.

    Args:
      encoder: the network.
      path: where it came from.
      step_frames: from one window to the next; by default half a window.
      options: what the network was opened with, see `load`.

    Attributes:
      windows: how videos are cut for it.
      matrices: "MODALITY.SPACE" -> dimensions of all that an index has to hold for it.
      fingerprint: tells networks and precisions apart.

    Raises:
      ValueError: the network takes no videos or does not tell how it sees them; or it has an audio
        tower and can't be given sounds.
    """

    def __init__(
        self,
        encoder: Encoder | EmbeddingGraph,
        path: str | os.PathLike[str],
        step_frames: int | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        self.options = dict(options or {})
        encoder = as_encoder(encoder)
        if VISION not in encoder.network.modalities:
            raise ValueError(
                f"{os.fspath(path)} embeds {', '.join(encoder.modalities)}; an index needs a "
                "network of videos."
            )
        self.encoder = encoder
        self.path = str(pathlib.Path(path).resolve()) if pathlib.Path(path).exists() else str(path)
        self.windows = encoder.windows(step_frames)
        if SOUND in encoder.modalities and SOUND not in encoder.accepts:
            raise ValueError(encoder.refusal(SOUND))
        self.fingerprint = encoder.fingerprint
        self.matrices = {
            f"{modality}.{space}": encoder.network.dims(modality)[space]
            for modality in (VISION, SOUND)
            if modality in encoder.modalities
            for space in _needed(encoder, modality)
        }

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        step_frames: int | None = None,
        **options: Any,
    ) -> Embedder:
        """Opens a network of any kind; options are those of `mmv_tf.load_encoder`."""
        return cls(load_encoder(path, **options), path, step_frames, options)

    def with_step(self, seconds: float) -> Embedder:
        """The same network with windows that start so many seconds apart.

        Raises:
          ValueError: that is more than a window, or nothing.
        """
        step = round(seconds * self.windows.frame_rate)
        if not 1 <= step <= self.windows.num_frames:
            raise ValueError(
                f"Windows start every {seconds:g} s; expected from "
                f"{1 / self.windows.frame_rate:g} s, a frame, to {self.windows.seconds:g} s, a "
                "window."
            )
        other = copy.copy(self)
        other.windows = dataclasses.replace(self.windows, step_frames=step)
        return other

    def made(self, fingerprint: str) -> bool:
        """Whether an index with this fingerprint is of this network.

        Indexes made before `fingerprint` told precisions apart hold a hash of the weights alone;
        they were made in the precision that the network was saved in.
        """
        if fingerprint == self.fingerprint:
            return True
        return "dtype" not in self.options and fingerprint == self._weights_hash

    @functools.cached_property
    def _weights_hash(self) -> str | None:
        """Hash of the weights, whatever their order; once, since every query asks `made`."""
        return _weights_hash(self.encoder)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the network."""
        return self.encoder.modalities

    @property
    def accepts(self) -> tuple[str, ...]:
        """Kinds of queries that it can embed."""
        return self.encoder.accepts

    def space(self, asked: str, within: str) -> str:
        """The space in which a query of one modality is compared with windows of another.

        Raises:
          ValueError: the network has no such space.
        """
        if asked == within and asked in self.modalities:
            return self.encoder.spaces(asked)[0]
        return self.encoder.common_space(asked, within)

    def clips(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        """uint8 [N, T, size, size, 3] -> space -> float32 [N, D], unit vectors.

        Raises:
          ValueError: for pixels of another dtype.
        """
        return self._windows(VISION, clips)

    def sounds(self, sounds: np.ndarray) -> dict[str, np.ndarray]:
        """float32 [N, samples] at the network's rate -> space -> float32 [N, D], unit vectors.

        Raises:
          ValueError: for samples that are not finite, or not in [-1, 1].
        """
        return self._windows(SOUND, sounds)

    def pictures(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """uint8 [N, size, size, 3] -> space -> float32 [N, D], unit vectors."""
        return _units(self.encoder.embed_image(pictures))

    def sentence(self, sentence: str) -> dict[str, np.ndarray]:
        """Space -> float32 [D], of unit length.

        Raises:
          ValueError: the network takes no sentences or knows none of the words.
        """
        found = _units(self.encoder.embed_text([sentence]))
        return {space: value[0] for space, value in found.items()}

    def _windows(self, modality: str, windows: np.ndarray) -> dict[str, np.ndarray]:
        check_windows(modality, windows)
        return _units(self.encoder.network.run(modality, windows))


def _units(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: unit(value) for name, value in features.items() if name not in REPRESENTATIONS}


def _needed(encoder: Encoder, modality: str) -> list[str]:
    """The spaces in which windows of a modality can be asked for."""
    found = {encoder.spaces(modality)[0]}
    for other in encoder.modalities:
        try:
            found.add(encoder.common_space(modality, other))
        except ValueError:
            continue  # Not compared in this graph.
    return sorted(found)


def _weights_hash(encoder: Encoder) -> str | None:
    """Of the weights, whatever their order is; None for a network without weights at hand."""
    model = getattr(encoder.network, "model", None)
    if model is None:
        return None
    parts = sorted(
        hashlib.sha256(repr(value.shape).encode() + np.ascontiguousarray(value).tobytes()).digest()
        for value in (variable.numpy() for variable in model.variables)
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()
