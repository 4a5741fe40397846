# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A network as search uses it: sentences, pictures, sounds and clips to unit vectors."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.data.reader_config import config_for_network
from mmv_tf.data.value_checks import check_windows
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.search.windows import Windows
from mmv_tf.training import load_model

# What is looked for in: what a window shows and what it sounds like.
VISION, SOUND = "video", "audio"
# Windows that pass the network at once; ours. The last batch is filled up, so that the function is
# traced once.
BATCH = 16


class Embedder:
    """A network that embeds windows and queries.

    Args:
      model: the network. Its metadata say how it sees videos, see `data.METADATA_KEYS`.
      path: where it came from.
      step_frames: from one window to the next; by default half a window.

    Attributes:
      windows: how videos are cut for it.
      matrices: "MODALITY.SPACE" -> dimensions of all that an index has to hold for it.
      fingerprint: tells networks apart.

    Raises:
      ValueError: the network does not say how it sees videos, or lacks what makes log-mels of
        sounds.
    """

    def __init__(
        self, model: EmbeddingGraph, path: str | os.PathLike[str], step_frames: int | None = None
    ):
        config = config_for_network(model.metadata, "", "")
        hears, log_mel = SOUND in model.modalities, model.log_mel
        if hears and log_mel is None:
            raise ValueError("The network has an audio tower but no log-mel settings.")
        self.model = model
        self.path = str(pathlib.Path(path).resolve())
        self.windows = Windows(
            num_frames=config.num_frames,
            frame_rate=config.frame_rate,
            size=config.size,
            square_crop=config.square_crop,
            step_frames=max(1, config.num_frames // 2) if step_frames is None else step_frames,
            sample_rate=log_mel.sample_rate if hears and log_mel is not None else 0,
        )
        self.matrices = {
            f"{modality}.{space}": dict(_dims(model, modality))[space]
            for modality in (VISION, SOUND)
            if modality in model.modalities
            for space in _needed(model, modality)
        }
        self.fingerprint = _fingerprint(model)
        self._functions: dict[str, Any] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str], step_frames: int | None = None) -> Embedder:
        """Reads a `.keras` file or a training run's folder; see `load_model`."""
        return cls(load_model(path), path, step_frames)

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
        other = copy.copy(self)  # With the same functions: they see one window at a time.
        other.windows = dataclasses.replace(self.windows, step_frames=step)
        return other

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the network."""
        return self.model.modalities

    def space(self, asked: str, within: str) -> str:
        """The space in which a query of one modality is compared with windows of another.

        Raises:
          ValueError: the network has no such space.
        """
        if asked == within and asked in self.modalities:
            return self.model.spaces(asked)[0]
        return self.model.common_space(asked, within)

    def clips(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        """uint8 [N, T, size, size, 3] -> space -> float32 [N, D], unit vectors.

        Raises:
          ValueError: for pixels of another dtype.
        """
        return self._embed(VISION, clips)

    def sounds(self, sounds: np.ndarray) -> dict[str, np.ndarray]:
        """float32 [N, samples] at the network's rate -> space -> float32 [N, D], unit vectors.

        Raises:
          ValueError: for samples that are not finite, or not in [-1, 1].
        """
        return self._embed(SOUND, sounds)

    def sentence(self, sentence: str) -> dict[str, np.ndarray]:
        """Space -> float32 [D], of unit length.

        Raises:
          ValueError: the network takes no sentences or knows none of the words.
        """
        tokenizer = self.model.sentence_tokenizer()
        ids = tokenizer([sentence])
        if not tokenizer.knows(ids).numpy().all():
            raise ValueError(
                f"The network knows none of the words in {sentence[:80]!r} (small words don't "
                "count); use other words."
            )
        values = self.model({"text": ids}, training=False)["text"]
        return {space: _unit(value.numpy())[0] for space, value in _spaces(values).items()}

    def _embed(self, modality: str, batch: np.ndarray) -> dict[str, np.ndarray]:
        check_windows(modality, batch)
        parts = []
        for first in range(0, len(batch), BATCH):
            piece = batch[first : first + BATCH]
            rest = np.zeros([BATCH - len(piece), *piece.shape[1:]], piece.dtype)
            values = self._function(modality)(np.concatenate([piece, rest]))
            parts.append({name: value.numpy()[: len(piece)] for name, value in values.items()})
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {name: _unit(value) for name, value in joined.items()}

    def _function(self, modality: str) -> Any:
        """Of one batch, traced once."""
        if modality in self._functions:
            return self._functions[modality]
        windows, model = self.windows, self.model
        log_mel: Any = model.log_mel
        if modality == VISION:
            shape = [BATCH, windows.num_frames, windows.size, windows.size, 3]
            spec = tf.TensorSpec(shape, tf.uint8)
        else:
            spec = tf.TensorSpec([BATCH, windows.samples], tf.float32)

        @tf.function(input_signature=[spec], autograph=False)
        def embed(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = tf.cast(batch, tf.float32) / 255.0 if modality == VISION else log_mel(batch)
            return _spaces(model({modality: inputs}, training=False)[modality])

        self._functions[modality] = embed
        return embed


def _spaces(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "before_head"}


def _dims(model: EmbeddingGraph, modality: str) -> list[tuple[str, int]]:
    return [(space, head.dim) for space, head, _ in model.chain(modality)]


def _needed(model: EmbeddingGraph, modality: str) -> list[str]:
    """The spaces in which windows of a modality can be asked for."""
    found = {model.spaces(modality)[0]}
    for other in model.modalities:
        try:
            found.add(model.common_space(modality, other))
        except ValueError:
            continue  # Not compared in this graph.
    return sorted(found)


def _unit(vectors: np.ndarray) -> np.ndarray:
    if not np.isfinite(vectors).all():
        raise ValueError("The network's embeddings are not finite; choose another network.")
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def _fingerprint(model: EmbeddingGraph) -> str:
    """Of the weights, whatever their order is, and of the settings that search goes by."""
    parts = sorted(
        hashlib.sha256(repr(value.shape).encode() + np.ascontiguousarray(value).tobytes()).digest()
        for value in (variable.numpy() for variable in model.variables)
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()
