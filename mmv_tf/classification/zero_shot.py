# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifier without training: compares files with sentences, its labels, in a common space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.classification.classifier import SCORES, Scorer
from mmv_tf.classification.labels import check_labels
from mmv_tf.evaluation.zero_shot import class_embeddings
from mmv_tf.inference.encoder import WINDOWS, Encoder
from mmv_tf.inference.network import IMAGE, LOG_MEL, TEXT, VIDEO, Network

# The temperature of MMV's training (Alayrac et al., 2020); using it for scores is ours.
TEMPERATURE = 0.07


class ZeroShotClassifier(Scorer):
    """Classifier for videos, audio or images, by sentences.

    Scores are a softmax of the cosine similarities between a window and the sentences, in their
    finest common space, divided by the temperature. A file's scores are the means over its windows.

    Args:
      encoder: a model that can compare the modality with text.
      labels: at least two sentences, which must differ in more than case and blanks.
      modality: "video", "audio" or "image".
      windows: maximum number of windows per file.
      temperature: divisor of the cosine similarities.

    Raises:
      ValueError: the labels are not as expected, or the model can't compare the modality with text,
        or knows none of a label's words.
    """

    def __init__(
        self,
        encoder: Encoder,
        labels: Sequence[str],
        modality: str,
        windows: int = WINDOWS,
        temperature: float = TEMPERATURE,
    ):
        labels = tuple(labels)
        check_labels(labels, "labels")
        if len(set(labels)) < len(labels) or len(labels) < 2:
            raise ValueError(
                f"Got {len(labels)} labels, {len(set(labels))} of them distinct; expected "
                "at least two, without duplicates."
            )
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0.")
        if modality == IMAGE and encoder.embedded_as(IMAGE) == VIDEO:
            encoder.require(["num_frames", "size"], "it can't turn images into clips")
        network = _SentenceNetwork(encoder, labels, modality, temperature)
        super().__init__(Encoder(network, encoder.source), labels, modality, False, windows)


class _SentenceNetwork(Network):
    """A model and sentences as a `Network`, whose only feature is "scores"."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], modality: str, temperature: float):
        super().__init__()
        self.modalities = (modality,)
        self.settings = encoder.settings
        self._inner = encoder.network
        self._seen_as = encoder.embedded_as(modality)
        self._inner.check_input(self._seen_as)
        self._inner.check_input(TEXT)
        self._space = encoder.common_space(modality, TEXT)
        self._classes = class_embeddings(encoder, labels, self._space)
        self._temperature = temperature

    def dims(self, modality: str) -> dict[str, int]:
        """Return the number of labels; see `Network.dims`."""
        self.check_modality(modality)
        return {SCORES: len(self._classes)}

    def check_input(self, kind: str) -> None:
        """Check an input as the model does; see `Network.check_input`."""
        super().check_input(kind)
        self._inner.check_input(kind if kind == LOG_MEL else self._seen_as)

    def compute(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the scores for a batch; see `Network.compute`."""
        self.check_input(kind)
        if kind == IMAGE and self._seen_as == VIDEO:
            inputs = tf.repeat(inputs[:, tf.newaxis], self.settings.num_frames, axis=1)
        kind = kind if kind == LOG_MEL else self._seen_as
        found = tf.cast(self._inner.compute(kind, inputs)[self._space], tf.float32)
        cosines = tf.matmul(
            tf.math.l2_normalize(found, axis=-1), tf.constant(self._classes), transpose_b=True
        )
        return {SCORES: tf.nn.softmax(cosines / self._temperature)}

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Reject sentences; see `Network.known`."""
        self.check_modality(TEXT)
        return np.ones([len(sentences)], bool)

    def description(self) -> dict[str, Any]:
        """Return the class and the number of parameters; see `Network.description`."""
        return self._inner.description()

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of the model."""
        return self._inner.fingerprint
