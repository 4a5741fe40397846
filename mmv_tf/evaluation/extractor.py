# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Features of media by a frozen network."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.data.value_checks import check_windows
from mmv_tf.deflation import ImageEncoder
from mmv_tf.evaluation.listing import shown
from mmv_tf.graphs import EmbeddingGraph

logger = logging.getLogger(__name__)


class Extractor:
    """Runs one modality of a network over windows, a batch at a time.

    Args:
      model: the network, or for images a deflated one (`ImageEncoder`).
      modality: "video", "audio", "image" or "text".
      names: which features: "before_head", spaces, and for audio "last_conv" (averaged over time
        and frequency).
      batch_size: windows at once.

    Raises:
      ValueError: if the network has no such modality or feature.
    """

    def __init__(
        self,
        model: EmbeddingGraph | ImageEncoder,
        modality: str,
        names: Sequence[str] = ("before_head",),
        batch_size: int = 8,
    ):
        self.model = model
        self.modality = modality
        self.names = tuple(names)
        self.batch_size = batch_size
        if isinstance(model, ImageEncoder):
            has: tuple[str, ...] = ("image",)
            outputs = model.network.output
            features = set(outputs) if isinstance(outputs, Mapping) else {"before_head"}
        else:
            has = model.modalities
            features = {"before_head", *(model.spaces(modality) if modality in has else ())}
        if modality not in has:
            hint = (
                "deflate the network first (binaries.deflate) and give that file"
                if modality == "image"
                else "evaluate another network, or by another protocol"
            )
            raise ValueError(f"The network takes {', '.join(has)}, not {modality}; {hint}.")
        if modality == "audio":
            features.add("last_conv")
            if model.log_mel is None:
                raise ValueError("The network has no log_mel layer to turn sound into its input.")
        if modality == "text" and isinstance(model, EmbeddingGraph):
            model.sentence_tokenizer()
        for name in names:
            if name not in features:
                raise ValueError(f"{modality} has no {name!r}; it has {sorted(features)}.")
        self._run = tf.function(self._compute(), reduce_retracing=True, autograph=False)

    def __call__(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Windows of one or several items to name -> float32 [windows, dim].

        Args:
          windows: as `views.read_views` gives them; for text a list of sentences. Those without a
            known word, which all get the same embedding, are counted in a warning.

        Raises:
          ValueError: if a window is not what the network takes (dtype, range, NaN), or a feature is
            not finite.
        """
        check_windows(self.modality, np.asarray(windows))
        if self.modality == "text":
            self._warn_of_unknown(list(windows))
        parts = [
            self._run(tf.constant(windows[start : start + self.batch_size]))
            for start in range(0, len(windows), self.batch_size)
        ]
        found = {
            name: np.concatenate([part[name].numpy() for part in parts]) for name in self.names
        }
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise ValueError(f"The network's {self.modality}/{name} is not finite.")
        return found

    def of_items(self, items: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """As calling it for each item's windows, but with the windows of all in common batches."""
        found = self(np.concatenate(items))
        ends = np.cumsum([len(windows) for windows in items])[:-1]
        parts = {name: np.split(values, ends) for name, values in found.items()}
        return [{name: parts[name][row] for name in self.names} for row in range(len(items))]

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Which of some sentences hold a word that the network knows, booleans [N]."""
        tokenizer: Any = self.model.tokenizer
        return tokenizer.knows(tokenizer(list(sentences))).numpy()

    def _warn_of_unknown(self, sentences: Sequence[str]) -> None:
        mute = [
            str(text)
            for text, known in zip(sentences, self.known(sentences), strict=True)
            if not known
        ]
        if mute:
            logger.warning(
                "%d of %d sentences hold no word that the network knows and all get the same "
                "embedding: %s.", len(mute), len(sentences), shown(mute),
            )  # fmt: skip

    @property
    def sample_rate(self) -> int:
        """Of the sound that the network takes, Hz; 0 for a network without."""
        log_mel = getattr(self.model, "log_mel", None)
        return 0 if log_mel is None else log_mel.sample_rate

    def _compute(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        model: Any = self.model
        modality, names = self.modality, self.names

        def image(windows: tf.Tensor) -> dict[str, tf.Tensor]:
            images = tf.cast(windows, tf.float32) / 255.0
            if names == ("before_head",):
                return {"before_head": model.features(images)}
            outputs = model(images)
            return {name: outputs[name] for name in names}

        def sound(windows: tf.Tensor) -> dict[str, tf.Tensor]:
            log_mel = model.log_mel(windows)
            found = {}
            if "last_conv" in names:
                endpoints = model.audio(log_mel, training=False, return_endpoints=True)
                found["last_conv"] = tf.cast(
                    tf.reduce_mean(endpoints["last_conv"], [1, 2]), tf.float32
                )
            if set(names) - {"last_conv"}:
                outputs = model({"audio": log_mel}, training=False)["audio"]
                found |= {name: outputs[name] for name in names if name != "last_conv"}
            return found

        def other(windows: tf.Tensor) -> dict[str, tf.Tensor]:
            if modality == "video":
                inputs = tf.cast(windows, tf.float32) / 255.0
            else:
                inputs = model.tokenizer(windows)
            outputs = model({modality: inputs}, training=False)[modality]
            return {name: outputs[name] for name in names}

        return {"image": image, "audio": sound}.get(modality, other)


def model_hash(model: keras.Model) -> str:
    """SHA-256 of all that a network computes with: settings, weights, vocabulary."""
    digest = hashlib.sha256()
    config = model.get_config()
    config.pop("name", None)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is not None:
        digest.update("\n".join(tokenizer.vocabulary).encode())
        word_ids = getattr(tokenizer, "word_ids", None)
        if word_ids is not None:
            digest.update(word_ids.tobytes())
    return digest.hexdigest()
