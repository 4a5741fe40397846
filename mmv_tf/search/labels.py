# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Window labels: a classifier's scores in an index, and filters for moments by label."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.classification import Classifier, load_classifier
from mmv_tf.inference.windows import Windows
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.manifest import IndexedLabels
from mmv_tf.util.command_line import nearest

# Ours: with a softmax, more likely than all other labels together.
THRESHOLD = 0.5


class WindowLabels:
    """Scores the windows of an index with a classifier.

    The classifier sees the same windows as the model, through its own backbone, which differs from
    the model's if it was fine-tuned.

    Args:
      classifier: a classifier for video or audio.
      path: its file.
      windows: the index's windows.

    Attributes:
      described: the classifier's description in the manifest.

    Raises:
      ValueError: the classifier expects images, or windows other than the index's.
    """

    def __init__(self, classifier: Classifier, path: str | os.PathLike[str], windows: Windows):
        if classifier.modality not in (VISION, SOUND):
            raise ValueError(
                f"{os.fspath(path)} classifies {classifier.modality}, but an index has windows of "
                "video and audio; give a classifier for one of these."
            )
        self._classifier = classifier
        _check_windows(classifier, path, windows)
        self.described = IndexedLabels(
            path=str(pathlib.Path(path).resolve()),
            fingerprint=classifier.fingerprint,
            modality=classifier.modality,
            names=classifier.labels,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], windows: Windows) -> WindowLabels:
        """Read a classifier's file.

        Raises:
          ValueError: as for `load_classifier` and the class.
        """
        return cls(load_classifier(path), path, windows)

    def scores(self, clips: np.ndarray, audio: np.ndarray | None, heard: np.ndarray) -> np.ndarray:
        """Return the scores for windows, float32 [N, labels].

        Args:
          clips: uint8 [N, T, size, size, 3].
          audio: float32 [N, samples] in [-1, 1]; None for videos without audio.
          heard: booleans [N]; an audio classifier scores silent windows 0 for all labels.
        """
        run = self._classifier.encoder.network.run
        if self.described.modality == VISION:
            return run(VISION, clips)["scores"]
        found = np.zeros([len(heard), len(self.described.names)], np.float32)
        if audio is not None and heard.any():
            found[heard] = run(SOUND, audio[heard])["scores"]
        return found


def _check_windows(classifier: Classifier, path: str | os.PathLike[str], windows: Windows) -> None:
    own = classifier.encoder.windows(modality=classifier.modality)
    names = ["num_frames", "frame_rate"]
    names += ["size", "square_crop"] if classifier.modality == VISION else ["sample_rate"]
    wrong = [name for name in names if getattr(own, name) != getattr(windows, name)]
    if classifier.modality == SOUND and own.samples == windows.samples:
        wrong = [name for name in wrong if name == "sample_rate"]
    if wrong:
        shown = ", ".join(
            f"{name} {getattr(own, name)} (index: {getattr(windows, name)})" for name in wrong
        )
        raise ValueError(
            f"{os.fspath(path)} expects windows with {shown}; give a classifier that was made from "
            "the index's model."
        )


@dataclasses.dataclass(frozen=True)
class LabelFilter:
    """A label that the windows of moments must have.

    Attributes:
      name: the label.
      threshold: minimum score.
    """

    name: str
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and 0 <= self.threshold <= 1):
            raise ValueError(
                f"The threshold of the label {self.name!r} is {self.threshold:g}; expected 0 to 1."
            )

    def column(self, labels: IndexedLabels | None, directory: Any) -> int:
        """Return the label's position among an index's labels.

        Args:
          labels: the index's labels.
          directory: its folder, for messages.

        Raises:
          ValueError: the index has no labels, or not this one.
        """
        if labels is None:
            raise ValueError(
                f"{directory}: the index has no labels; build it again with a classifier: "
                "mmv search index ... --classifier=FILE.keras --overwrite"
            )
        if self.name not in labels.names:
            near = nearest(self.name, labels.names)
            some = ", ".join(repr(name) for name in labels.names[:10])
            hint = f"nearest: {near!r}" if near else f"it has {some}"
            raise ValueError(f"{directory}: the index has no label {self.name!r}; {hint}.")
        return labels.names.index(self.name)


def parse_label(text: str, names: Sequence[str] = ()) -> LabelFilter:
    """Parse "NAME" or "NAME:THRESHOLD".

    Args:
      text: the text.
      names: known labels; a text that equals one of them is a name even if it ends like a
        threshold.

    Raises:
      ValueError: the name is empty, or the threshold is not from 0 to 1.
    """
    name, colon, threshold = text.rpartition(":")
    if text in names or not colon:
        name, threshold = text, ""
    elif name not in names:
        try:
            float(threshold)
        except ValueError:
            name, threshold = text, ""  # a name that contains a colon
    if not name.strip():
        raise ValueError(f"Got the label {text!r}; expected NAME or NAME:THRESHOLD.")
    try:
        value = float(threshold) if threshold else THRESHOLD
    except ValueError:
        value = math.nan
    return LabelFilter(name, value)
