# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Contents of published data sets: entries, classes and divisions."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Collection, Iterable, Mapping

from mmv_tf.data.datasets import tables
from mmv_tf.data.file_types import SUFFIXES, VIDEO

TRAIN, TEST = "train", "test"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line in a published list: a clip, its file and its annotations.

    Attributes:
      entry_id: the clip's name in evaluations.
      files: possible names for the clip's file: a path inside the data set's folder, or a name with
        or without suffix. Missing files are reported under the first name.
      split: the clip's split; "" for none.
      fold: the line's division, if divisions overlap. A file has a line in each division, and
        `split` is its part there: TRAIN, TEST or "".
      source_id: the file's name in shards; "" for `entry_id`.
      labels: the clip's class names.
      ignored: names of classes for which the clip counts neither as positive nor as negative.
      group: entries in one group (a video, a recording) are not independent samples.
      texts: sentences about the clip.
      start, end: span in the file, in seconds; None for the whole file.
      trimmed: names in `files` that hold only the clip. If there are any, a file with another
        name that is no longer than the clip also counts as the clip.
      example_id: the clip's name in shards; None derives it from the source and the time.
    """

    entry_id: str
    files: tuple[str, ...]
    split: str = ""
    fold: str = ""
    source_id: str = ""
    labels: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    group: str = ""
    texts: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    trimmed: tuple[str, ...] = ()
    example_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Division:
    """The splits that make up each part of an evaluation."""

    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Published:
    """A data set read from its published lists.

    Attributes:
      entries: entries in list order.
      classes: names by class index; None sorts the names that occur.
      labels: names by the class ids in shards, if those differ; None for `classes`.
      divisions: splits for training and testing, by name. Empty if entries have a `fold`: each fold
        is then a division.
      lists_divisions: whether the manifest lists the splits of each division.
      kinds: file types, the usual type first.
    """

    entries: tuple[Entry, ...]
    classes: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    divisions: Mapping[str, Division] = dataclasses.field(default_factory=dict)
    lists_divisions: bool = False
    kinds: tuple[str, ...] = (VIDEO,)


@dataclasses.dataclass(frozen=True)
class Folder:
    """A data set's folder, as the input of a reader.

    Attributes:
      directory: the data set's folder, with its published layout.
      name: the data set's name.
      lists: file or folder of lists, if they are not in `directory`.
      division: the only division to read; "" for all.
      validation_one_in: see `registry.read_data_set`.
    """

    directory: pathlib.Path
    name: str = ""
    lists: pathlib.Path | None = None
    division: str = ""
    validation_one_in: int | None = None

    def find(self, names: Collection[str], what: str) -> pathlib.Path:
        """Return the first existing path among several possible names of lists.

        Raises:
          ValueError: none exists; the message calls it `what`.
        """
        if self.lists is None:
            try:
                return tables.find_file(self.directory, tuple(names), what)
            except ValueError as error:
                hint = " Give the location of the lists with --lists." if self.division else ""
                raise ValueError(f"{error}{hint}") from None
        return next((self.lists / name for name in names if (self.lists / name).exists()),
                    self.lists)  # fmt: skip

    def find_in_folder(self, names: Collection[str]) -> pathlib.Path | None:
        """Return the first existing file among several names in the folder of lists, or None."""
        base = self.lists or self.directory
        if base.is_file():
            return base
        return next((base / name for name in names if (base / name).is_file()), None)

    def wants(self, split: str, divisions: Mapping[str, Division]) -> bool:
        """Return whether a split belongs to the requested division.

        Raises:
          ValueError: the division is unknown.
        """
        if not self.division:
            return True
        found = find_division(self.name, self.division, divisions, self.lists or self.directory)
        return split in (*found.train, *found.test)

    @functools.cached_property
    def subfolders(self) -> tuple[str, ...]:
        """The names of the folders directly in `directory`."""
        if not self.directory.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.directory.iterdir() if path.is_dir()))


def find_division(
    name: str, division: str, divisions: Mapping[str, Division], where: pathlib.Path
) -> Division:
    """Return a division of a data set whose lists are at `where`.

    Raises:
      ValueError: the division is unknown.
    """
    check_division(name, division, divisions, where)
    return divisions[division]


def check_division(name: str, division: str, known: Collection[str], where: pathlib.Path) -> None:
    """Raise a ValueError if a division is not among those in the lists at `where`."""
    if division not in known:
        use = f"use one of {', '.join(sorted(known))}" if known else "they name no clips"
        raise ValueError(f"{name} has no division {division!r} in the lists in {where}; {use}.")


def leave_one_out(entries: Iterable[Entry]) -> dict[str, Division]:
    """Return one division per test fold; splits are called fold1, fold2, ..."""
    splits = sorted({entry.split for entry in entries})
    return {
        split.removeprefix("fold"): Division(
            tuple(other for other in splits if other != split), (split,)
        )
        for split in splits
    }


def has_suffix(name: str) -> bool:
    """Return whether a name ends in a media file suffix."""
    suffix = pathlib.PurePosixPath(name).suffix.lower()
    return any(suffix in known for known in SUFFIXES.values())
