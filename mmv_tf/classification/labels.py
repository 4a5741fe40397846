# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Labeled clips: videos, audio or images, or parts of them, with their class names."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from mmv_tf.inference.network import AUDIO, IMAGE, VIDEO

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
MODALITIES = (VIDEO, AUDIO, IMAGE)
# Ours: limits on a label's characters, and on the labels of one classifier.
MAX_CHARACTERS = 200
MAX_LABELS = 20_000
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Clip:
    """A file, or a part of a file, with its labels.

    Attributes:
      path: the file.
      name: the path as given, printable.
      labels: class names; empty for a clip of no class (only with several labels per clip).
      split: "train", "validation" or "test".
      start: start, in seconds.
      end: end, in seconds; None for the end of the file.
      group: clips in one group are never divided between training and held-out data; "" groups the
        clips of each file.
    """

    path: pathlib.Path
    name: str
    labels: tuple[str, ...]
    split: str = TRAIN
    start: float = 0.0
    end: float | None = None
    group: str = ""

    @property
    def whole(self) -> bool:
        """True if the clip is the whole file."""
        return not self.start and self.end is None

    @property
    def span(self) -> str:
        """Part of the file, such as "2-4.5"; "" for the whole file."""
        if self.whole:
            return ""
        return f"{self.start:g}-{'' if self.end is None else f'{self.end:g}'}"

    @property
    def title(self) -> str:
        """Name and, for a part of a file, the span."""
        return self.name if self.whole else f"{self.name}@{self.span}"

    @property
    def film(self) -> str:
        """The group, or the file if there is no group."""
        return f"group {self.group}" if self.group else str(self.path)


@dataclasses.dataclass(frozen=True)
class LabeledClips:
    """Checked clips of one modality.

    Attributes:
      source: where the clips were read from, for messages.
      clips: the clips.
      labels: class names, sorted.
      modality: "video", "audio" or "image".
      multi_label: whether a clip may have any number of labels instead of exactly one.
      left_out: names of files that were found but are not among the clips.

    Raises:
      ValueError: nothing can be learned from the clips; the message gives the reason.
    """

    source: str
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    modality: str
    multi_label: bool = False
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(
                f"The modality is {self.modality!r}; expected one of {', '.join(MODALITIES)}."
            )
        check_labels(self.labels, self.source)
        self._check_counts()
        self._check_splits()

    def of(self, *splits: str) -> list[Clip]:
        """Return the clips in the given splits, in order."""
        return [clip for clip in self.clips if clip.split in splits]

    def targets(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return 1 for each label of each clip and 0 elsewhere, int8 [clips, labels]."""
        place = {label: index for index, label in enumerate(self.labels)}
        found = np.zeros([len(clips), len(self.labels)], np.int8)
        for row, clip in enumerate(clips):
            found[row, [place[label] for label in clip.labels]] = 1
        return found

    def check_trainable(self, clips: Sequence[Clip] | None = None) -> None:
        """Check that each label occurs in at least two films.

        Args:
          clips: clips for training; by default, those in the splits "train" and "validation".

        Raises:
          ValueError: a label occurs in fewer, or there is only one label.
        """
        clips = self.of(TRAIN, VALIDATION) if clips is None else clips
        if len(self.labels) < 2 and not (self.multi_label and any(not c.labels for c in clips)):
            raise ValueError(
                f"{self.source}: there is only one class, {self.labels[0]!r}; expected at least "
                "two; add clips of another class."
            )
        films: dict[str, set[str]] = {label: set() for label in self.labels}
        for clip in clips:
            for label in clip.labels:
                films[label].add(clip.film)
        missing = [label for label in self.labels if not films[label]]
        if missing:
            raise ValueError(
                f"{self.source}: {named(missing)} {'has' if len(missing) == 1 else 'have'} no "
                "training clips; add some, or remove the class."
            )
        single = [label for label in self.labels if len(films[label]) == 1]
        if single:
            raise ValueError(
                f"{self.source}: {named(single)} {'has' if len(single) == 1 else 'have'} only one "
                "example (a file or a group of files); expected at least two, one to train on and "
                "one to validate on; add more, or remove the class."
            )

    def _check_counts(self) -> None:
        if not self.clips:
            raise ValueError(f"{self.source}: there are no clips; expected one per example.")
        if self.multi_label:
            return
        for clip in self.clips:
            if len(clip.labels) != 1:
                raise ValueError(
                    f"{self.source}: {clip.title} has {len(clip.labels)} labels; expected one; "
                    "correct it, or allow any number with --multi_label."
                )

    def _check_splits(self) -> None:
        splits: dict[str, set[str]] = collections.defaultdict(set)
        names: dict[str, str] = {}
        for clip in self.clips:
            splits[clip.film].add(clip.split)
            names.setdefault(clip.film, clip.group or clip.name)
        several = [film for film, found in splits.items() if len(found) > 1]
        if several:
            found = sorted({split for film in several for split in splits[film]}, key=SPLITS.index)
            raise ValueError(
                f"{self.source}: {named([names[film] for film in several], 1000)} "
                f"{'is' if len(several) == 1 else 'are'} in more than one of {', '.join(found)}; "
                "put all clips of a film in one split."
            )


def check_labels(labels: Sequence[str], source: str) -> None:
    """Check class names.

    Raises:
      ValueError: there are none or too many, one is blank or too long, or two differ only in case
        and blanks.
    """
    if not 1 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"{source}: got {len(labels)} labels; expected 1 to {MAX_LABELS}.")
    for label in labels:
        if not label.strip() or len(label) > MAX_CHARACTERS or not label.isprintable():
            raise ValueError(
                f"{source}: got the label {label[:80]!r}; expected 1 to {MAX_CHARACTERS} printable "
                "characters."
            )
    check_spellings(labels, source)


def check_spellings(labels: Iterable[str], source: str) -> None:
    """Check that no two labels differ only in case and spaces.

    Raises:
      ValueError: two labels do; the message names both.
    """
    known: dict[str, str] = {}
    for label in labels:
        key = "".join(unicodedata.normalize("NFKC", label).casefold().split())
        first = known.setdefault(key, label)
        if first != label:
            raise ValueError(
                f"{source}: the labels {first!r} and {label!r} differ only in case, spaces or "
                "character forms; use one spelling."
            )


def named(names: Sequence[str], most: int = _SHOWN) -> str:
    """Return names for a message, with a count of those beyond `most`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
