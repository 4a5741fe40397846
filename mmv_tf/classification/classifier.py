# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifier for files and arrays, and its file format."""

from __future__ import annotations

import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.classification.network import ClassifierNetwork
from mmv_tf.inference.encoder import Encoder
from mmv_tf.inference.graph_network import model_hash
from mmv_tf.inference.inputs import Path
from mmv_tf.inference.network import (
    AUDIO,
    IMAGE,
    VIDEO,
    Network,
    Settings,
)
from mmv_tf.util import files
from mmv_tf.util.keras_files import load_keras_file

SCORES = "scores"


class Scorer:
    """Scores videos, audio or images against labels.

    Args:
      encoder: an `Encoder` whose embeddings are the scores; it also reads the files.
      labels: class names, in the order of the scores.
      modality: input modality: "video", "audio" or "image".
      multi_label: True if labels are independent; False if each clip has exactly one.
      windows: maximum number of windows per file.

    Attributes:
      encoder, labels, modality, multi_label, windows: as given.
    """

    def __init__(
        self,
        encoder: Encoder,
        labels: tuple[str, ...],
        modality: str,
        multi_label: bool,
        windows: int,
    ):
        self.encoder = encoder
        self.labels = labels
        self.modality = modality
        self.multi_label = multi_label
        self.windows = windows

    @property
    def settings(self) -> Settings:
        """Video and audio settings for reading files."""
        return self.encoder.settings

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of everything that the classifier computes with."""
        return self.encoder.fingerprint

    def predict(
        self, items: Path | Sequence[Path] | np.ndarray, *, per_window: bool = False
    ) -> dict[str, np.ndarray]:
        """Return the scores for files or arrays.

        Args:
          items: paths, or an array as for `Encoder.embed_video`, `embed_audio` or `embed_image`.
          per_window: for videos and audio files, return one row per window.

        Returns:
          "scores": float32 [N, labels] in [0, 1], averaged over the windows of each file. With
          `per_window`, also "item" (index of the file), "start" and "end" (seconds).

        Raises:
          ValueError: a file can't be decoded (a `MediaError`), or an array is not as expected.
        """
        if self.modality == IMAGE:
            return self.encoder.embed_image(items)
        embed = {VIDEO: self.encoder.embed_video, AUDIO: self.encoder.embed_audio}[self.modality]
        return embed(items, windows=self.windows, per_window=per_window)


class Classifier(Scorer):
    """Classifier for videos, audio or images, trained on the user's own labels.

    Create one with `load_classifier` or `fit`.

    Args:
      network: the Keras model.
      source: where the model came from, for messages.

    Attributes:
      network: as given.

    Example:
    >>> classifier = mmv_tf.classification.load_classifier("sounds.keras")  # doctest: +SKIP
    >>> scores = classifier.predict(["a.wav", "b.wav"])["scores"]  # doctest: +SKIP
    >>> [classifier.labels[best] for best in scores.argmax(axis=1)]  # doctest: +SKIP
    """

    def __init__(self, network: ClassifierNetwork, source: str = "The classifier"):
        self.network = network
        super().__init__(
            Encoder(_ScoringNetwork(network), source),
            network.labels,
            network.modality,
            network.multi_label,
            network.windows,
        )

    def save(self, path: Path) -> None:
        """Write the classifier's file atomically.

        Raises:
          ValueError: the path does not end in ".keras".
        """
        target = pathlib.Path(path)
        check_name(target)
        with files.replacing(target) as temporary:
            self.network.save(temporary)


def check_name(path: Path) -> None:
    """Raise a ValueError unless a classifier's path ends in ".keras"."""
    if pathlib.Path(path).suffix != ".keras":
        raise ValueError(f"{os.fspath(path)}: the classifier's name must end in .keras.")


def load_classifier(path: Path) -> Classifier:
    """Read a classifier from its file.

    The file may be untrusted: nothing in it is executed, and its values are checked.

    Raises:
      ValueError: the file does not exist, is damaged, or holds something else.
    """
    if not os.path.isfile(path):
        raise ValueError(
            f"There is no classifier at {os.fspath(path)}; create one with mmv classify fit."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{os.fspath(path)} is not a .keras file, or is truncated; get a complete copy."
        )
    check_name(path)
    network = load_keras_file(path)
    if not isinstance(network, ClassifierNetwork):
        raise ValueError(
            f"{os.fspath(path)} holds a {type(network).__name__}, not a classifier; create one "
            "with mmv classify fit."
        )
    if not all(np.isfinite(values).all() for values in network.linear.get_weights()):
        raise ValueError(f"{os.fspath(path)}: its linear layer has values that are not finite.")
    return Classifier(network, os.fspath(path))


class _ScoringNetwork(Network):
    """A classifier as a `Network`, whose only feature is "scores"."""

    def __init__(self, model: ClassifierNetwork):
        super().__init__()
        self.model = model
        self.modalities = (model.modality,)
        metadata = model.metadata
        self.settings = Settings(
            num_frames=metadata.get("num_frames"),
            frame_rate=metadata.get("frame_rate"),
            size=metadata.get("size"),
            square_crop=bool(metadata.get("square_crop", True)),
            sample_rate=None if model.log_mel is None else model.log_mel.sample_rate,
        )

    def dims(self, modality: str) -> dict[str, int]:
        """Return the number of labels; see `Network.dims`."""
        self.check_modality(modality)
        return {SCORES: len(self.model.labels)}

    def compute(self, kind: str, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the scores for a batch; see `Network.compute`."""
        self.check_input(kind)
        return {SCORES: self.model(inputs)}

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Reject sentences; see `Network.known`."""
        self.check_modality("text")
        return np.ones([len(sentences)], bool)

    def description(self) -> dict[str, Any]:
        """Return the class and the number of parameters; see `Network.description`."""
        return {"class": type(self.model).__name__, "parameters": int(self.model.count_params())}

    @property
    def fingerprint(self) -> str:
        """The hexadecimal SHA-256 of everything that the classifier computes with."""
        return model_hash(self.model)
