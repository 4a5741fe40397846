# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classifier of files and arrays, and its file."""

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
    """Scores videos, audio or images by labels.

    Args:
      encoder: an `Encoder` whose embeddings are the scores; it reads the files.
      labels: names of the classes, in the order of the scores.
      modality: modality that it takes: "video", "audio" or "image".
      multi_label: True if labels are independent of each other; else a clip has exactly one.
      windows: greatest number of windows of a file.

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
        """Video and audio settings by which files are read."""
        return self.encoder.settings

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of all that it computes with."""
        return self.encoder.fingerprint

    def predict(
        self, items: Path | Sequence[Path] | np.ndarray, *, per_window: bool = False
    ) -> dict[str, np.ndarray]:
        """Return the scores of files or arrays.

        Args:
          items: paths, or an array as `Encoder.embed_video`, `embed_audio` or `embed_image` takes.
          per_window: for videos and audio files, return a row for each window.

        Returns:
          "scores": float32 [N, labels] in [0, 1]. A file's are the means over its windows. For
          windows also "item" (index of the file), "start" and "end" (seconds).

        Raises:
          ValueError: a file can't be decoded (a `MediaError`), or an array is not as expected.
        """
        if self.modality == IMAGE:
            return self.encoder.embed_image(items)
        embed = {VIDEO: self.encoder.embed_video, AUDIO: self.encoder.embed_audio}[self.modality]
        return embed(items, windows=self.windows, per_window=per_window)


class Classifier(Scorer):
    """Classifier of videos, audio or images by one's own labels.

    Make one with `load_classifier`, or `fit`.

    Args:
      network: the Keras model.
      source: its origin, for messages.

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
        """Write the file of the classifier atomically.

        Raises:
          ValueError: the path does not end in ".keras".
        """
        target = pathlib.Path(path)
        check_name(target)
        with files.replacing(target) as temporary:
            self.network.save(temporary)


def check_name(path: Path) -> None:
    """Raise a ValueError for a classifier's file with another suffix than ".keras"."""
    if pathlib.Path(path).suffix != ".keras":
        raise ValueError(f"{os.fspath(path)}: let the classifier's name end in .keras.")


def load_classifier(path: Path) -> Classifier:
    """Read the file of a classifier.

    The file may come from a stranger: nothing in it is executed, and its values are checked.

    Raises:
      ValueError: it does not exist, is damaged, or holds something else.
    """
    if not os.path.isfile(path):
        raise ValueError(
            f"There is no classifier at {os.fspath(path)}; make one: mmv classify fit."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{os.fspath(path)} is not a .keras file, or is cut short; get a whole copy."
        )
    check_name(path)
    network = load_keras_file(path)
    if not isinstance(network, ClassifierNetwork):
        raise ValueError(
            f"{os.fspath(path)} holds a {type(network).__name__}, not a classifier; make one of "
            "it: mmv classify fit."
        )
    if not all(np.isfinite(values).all() for values in network.linear.get_weights()):
        raise ValueError(f"{os.fspath(path)}: its linear layer has values that are not finite.")
    return Classifier(network, os.fspath(path))


class _ScoringNetwork(Network):
    """A classifier behind the interface of `Network`; its only feature is "scores"."""

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
        """Return the scores of a batch; see `Network.compute`."""
        self.check_input(kind)
        return {SCORES: self.model(inputs)}

    def known(self, sentences: Sequence[str]) -> np.ndarray:
        """Refuse sentences; see `Network.known`."""
        self.check_modality("text")
        return np.ones([len(sentences)], bool)

    def description(self) -> dict[str, Any]:
        """Return class and number of parameters; see `Network.description`."""
        return {"class": type(self.model).__name__, "parameters": int(self.model.count_params())}

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of all that the classifier computes with."""
        return model_hash(self.model)
