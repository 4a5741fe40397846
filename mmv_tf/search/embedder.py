# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Encoder for search: embeds sentences, images, audio and clips as unit vectors."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmv_tf.data.reading.value_checks import check_windows
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder, load_encoder, unit
from mmv_tf.inference.network import REPRESENTATIONS
from mmv_tf.inference.reading import Block
from mmv_tf.search.frames import FrameEncoder

# Modalities of a window that can be searched.
VISION, SOUND = "video", "audio"
_EVERYDAY_SENTENCES = pathlib.Path(__file__).with_name("everyday_sentences.txt")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Embedder:
    """Embeds windows and queries for an index.

    Args:
      encoder: the model.
      path: path to the model.
      step_frames: frames between windows; by default, half a window.
      options: options with which the model was opened; see `load`.

    Attributes:
      windows: settings for cutting videos into windows.
      matrices: "MODALITY.SPACE" -> dimensions, for an index's matrices.
      fingerprint: identifies the model and its precision.

    Raises:
      ValueError: the model has no video input or lacks settings for it; or it has an audio backbone
        but lacks settings for audio.
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
                "video model."
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
        """Open any kind of model; options are those of `mmv_tf.load_encoder`."""
        return cls(load_encoder(path, **options), path, step_frames, options)

    def with_step(self, seconds: float) -> Embedder:
        """Return an embedder with the same model and another number of seconds between windows.

        Raises:
          ValueError: the step is longer than a window, or shorter than a frame.
        """
        step = round(seconds * self.windows.frame_rate)
        if not 1 <= step <= self.windows.num_frames:
            raise ValueError(
                f"The step between windows is {seconds:g} s; expected "
                f"{1 / self.windows.frame_rate:g} s (one frame) to {self.windows.seconds:g} s "
                "(one window)."
            )
        other = copy.copy(self)
        other.windows = dataclasses.replace(self.windows, step_frames=step)
        return other

    def made(self, fingerprint: str) -> bool:
        """Return whether an index with this fingerprint was made with this model.

        In old indexes, the fingerprint is a hash of the weights alone. Those indexes were made in
        the precision in which the model was saved.
        """
        if fingerprint == self.fingerprint:
            return True
        return "dtype" not in self.options and fingerprint == self._weights_hash

    @functools.cached_property
    def _weights_hash(self) -> str | None:
        """A hash of the weights in any order, cached because every query calls `made`."""
        return _weights_hash(self.encoder)

    @functools.cached_property
    def everyday_sentences(self) -> dict[str, np.ndarray]:
        """Sentences that the model knows: space -> unit vectors, float32 [N, D]; may be empty."""
        lines = _EVERYDAY_SENTENCES.read_text(encoding="utf-8").splitlines()
        known = self.encoder.network.known(lines)
        sentences = [line for line, there in zip(lines, known, strict=True) if there]
        return _units(self.encoder.embed_text(sentences)) if sentences else {}

    @functools.cached_property
    def frame_encoder(self) -> FrameEncoder:
        """The frame encoder, created at first use because that takes seconds."""
        return FrameEncoder(self.encoder)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The model's modalities."""
        return self.encoder.modalities

    @property
    def accepts(self) -> tuple[str, ...]:
        """Kinds of queries that the model embeds."""
        return self.encoder.accepts

    def space(self, asked: str, within: str) -> str:
        """Return the space for comparing a query of one modality with windows of another.

        Raises:
          ValueError: the model has no such space.
        """
        if asked == within and asked in self.modalities:
            return self.encoder.spaces(asked)[0]
        return self.encoder.common_space(asked, within)

    def clips(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        """Embed clips, uint8 [N, T, size, size, 3]: space -> unit vectors, float32 [N, D].

        Raises:
          ValueError: pixels have another dtype.
        """
        return self._windows(VISION, clips)

    def windows_of(self, block: Block) -> dict[str, np.ndarray]:
        """Embed the windows of a decoded block: space -> unit vectors, float32 [N, D]."""
        frames = block.grid_frames
        check_windows(VISION, frames[np.newaxis])
        network = self.encoder.network
        return _units(network.run_windows(frames, block.offsets, self.windows.num_frames))

    def sounds(self, sounds: np.ndarray) -> dict[str, np.ndarray]:
        """Embed audio, float32 [N, samples] at the model's rate: space -> float32 [N, D].

        Raises:
          ValueError: samples are not finite, or not in [-1, 1].
        """
        return self._windows(SOUND, sounds)

    def pictures(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Embed images, uint8 [N, size, size, 3]: space -> unit vectors, float32 [N, D]."""
        return _units(self.encoder.embed_image(pictures))

    def sentence(self, sentence: str) -> dict[str, np.ndarray]:
        """Embed a sentence: space -> unit vector, float32 [D].

        Raises:
          ValueError: the model has no text input or knows none of the words.
        """
        found = _units(self.encoder.embed_text([sentence]))
        return {space: value[0] for space, value in found.items()}

    def unknown_words(self, sentence: str) -> tuple[str, ...]:
        """Return the words that the model does not know, in the order written, each once.

        Stop words, which the model drops, are not included.

        Raises:
          ValueError: the model has no text input.
        """
        stops = self.encoder.network.stop_words
        words = dict.fromkeys(_WORD.findall(sentence))
        asked = [word for word in words if word.lower() not in stops]
        known = self.encoder.network.known(asked) if asked else []
        return tuple(word for word, there in zip(asked, known, strict=True) if not there)

    def _windows(self, modality: str, windows: np.ndarray) -> dict[str, np.ndarray]:
        check_windows(modality, windows)
        return _units(self.encoder.network.run(modality, windows))


def _units(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: unit(value) for name, value in features.items() if name not in REPRESENTATIONS}


def _needed(encoder: Encoder, modality: str) -> list[str]:
    """Return the spaces in which windows of a modality can be searched."""
    found = {encoder.spaces(modality)[0]}
    for other in encoder.modalities:
        try:
            found.add(encoder.common_space(modality, other))
        except ValueError:
            continue  # This graph can't compare them.
    return sorted(found)


def _weights_hash(encoder: Encoder) -> str | None:
    """Return the hash of the weights in any order; None for a SavedModel."""
    model = getattr(encoder.network, "model", None)
    if model is None:
        return None
    parts = sorted(
        hashlib.sha256(repr(value.shape).encode() + np.ascontiguousarray(value).tobytes()).digest()
        for value in (variable.numpy() for variable in model.variables)
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()
