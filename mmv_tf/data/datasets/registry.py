# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Registry of data sets by name.

A data set is one module in this package: a function that reads a `Folder` and is registered with
`@DATA_SETS.register(NAME)`. Both preparation and evaluation use its result.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Mapping

from mmv_tf.data import file_types
from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import (
    TEST,
    TRAIN,
    Entry,
    Folder,
    Published,
    has_suffix,
)
from mmv_tf.data.preparation.sources import Collection, ListedClip, Source, check_unique
from mmv_tf.util.registry import Registry
from mmv_tf.util.storage.media import outline

DATA_SETS: Registry[Callable[[Folder], Published | Collection]] = Registry(
    "data set", package=__package__
)
# Data sets published without held-out parts; their readers use `validation_one_in`.
WITHOUT_HELD_OUT = ("howto100m",)


def read_published(
    name: str, directory: pathlib.Path, lists: pathlib.Path | None = None, division: str = ""
) -> Published:
    """Read a data set's lists for an evaluation.

    Args:
      name: the data set's name.
      directory: the data set's folder.
      lists: file or folder of lists, if they are not in `directory`.
      division: division to read; lists of other divisions may be skipped.

    Raises:
      ValueError: the name is unknown, the folder does not fit, a list can't be read, or the data
        set has no lists for evaluation.
    """
    if lists is not None and not lists.exists():
        raise ValueError(f"There is no list at {lists}; check --lists.")
    found = DATA_SETS.get(name)(Folder(directory, name, lists, division))
    if isinstance(found, Published):
        return found
    raise ValueError(
        f"{directory}: {name} in this layout can be prepared, but not used for evaluation."
    )


def read_data_set(
    name: str, directory: str | pathlib.Path, validation_one_in: int | None = None
) -> Collection:
    """Read a data set's lists for preparation.

    Args:
      name: the data set's name.
      directory: the data set's folder, with its published layout.
      validation_one_in: for a data set in `WITHOUT_HELD_OUT`: about one video in this number goes
        to the split "validation" (0 for none); None uses the data set's default.

    Raises:
      ValueError: the name is unknown, the folder does not fit, a list can't be read, or
        `validation_one_in` is given for a data set with published splits.
    """
    read = DATA_SETS.get(name)
    directory = outline(str(directory), lambda name: True)
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such folder; give the folder of the data set.")
    if validation_one_in is not None and name not in WITHOUT_HELD_OUT:
        raise ValueError(
            f"{name} has published splits, so validation_one_in={validation_one_in} does not "
            f"apply; leave it out, as it is only for {', '.join(WITHOUT_HELD_OUT)}."
        )
    found = read(Folder(directory, name, validation_one_in=validation_one_in))
    if isinstance(found, Published):
        found = _collection(name, found, directory)
    check_unique(found.sources, directory)
    return found


def _collection(name: str, published: Published, directory: pathlib.Path) -> Collection:
    """Return a data set's sources, one per file."""
    files = MediaFiles(directory, published.kinds)
    folds: dict[str, dict[str, str]] = {}
    if any(entry.fold for entry in published.entries):
        groups, folds = _by_file(published.entries)
    else:
        groups = _by_clip(published.entries)
    if published.lists_divisions:
        folds = {
            fold: {TRAIN: "+".join(division.train), TEST: "+".join(division.test)}
            for fold, division in published.divisions.items()
        }
    labels = published.labels or published.classes
    if labels is None and any(entry.labels for entry in published.entries):
        labels = tuple(sorted({label for entry in published.entries for label in entry.labels}))
    sources = tuple(files.source(split, entries) for split, entries in groups)
    return Collection(name, sources, labels=labels, folds=folds)


Groups = list[tuple[str, list[Entry]]]  # (split, entries) of each source


def _by_file(entries: Iterable[Entry]) -> tuple[Groups, dict[str, dict[str, str]]]:
    """Group entries of overlapping divisions, and return the divisions as unions of splits."""
    first: dict[str, Entry] = {}
    memberships: dict[str, dict[str, str]] = {}
    for entry in entries:
        first.setdefault(entry.files[0], entry)
        parts = memberships.setdefault(entry.files[0], {})
        if entry.split:
            parts[entry.fold] = entry.split
    split_of, folds = tables.parts_and_folds(memberships)
    return [(split_of[file], [first[file]]) for file in sorted(first)], folds


def _by_clip(entries: Iterable[Entry]) -> Groups:
    """Group entries that are parts of one file."""
    groups: dict[object, tuple[str, list[Entry]]] = {}
    for number, entry in enumerate(entries):
        is_part = entry.start is not None and not entry.trimmed
        key = (entry.source_id, entry.split) if is_part else number
        groups.setdefault(key, (entry.split, []))[1].append(entry)
    return list(groups.values())


class MediaFiles:
    """Media files in a data set's folder.

    Args:
      directory: the folder.
      kinds: file types, the usual type first.
    """

    def __init__(self, directory: pathlib.Path, kinds: tuple[str, ...]):
        self._directory = directory
        self._kinds = kinds
        self._by_stem: Mapping[str, pathlib.Path] | None = None

    def source(self, split: str, entries: list[Entry]) -> Source:
        """Return the source of the entries that share a file."""
        entry = entries[0]
        path, is_trimmed = self._find(entry)
        kind = file_types.kind_of(path)
        clips = None
        if not is_trimmed and (entry.start is not None or entry.texts or entry.example_id):
            clips = tuple(_clip(entry) for entry in entries)
        return Source(
            media_id=entry.source_id or entry.entry_id,
            path=path,
            kind=kind if kind in self._kinds else self._kinds[0],
            split=split,
            labels=entry.labels,
            clips=clips,
        )

    def _find(self, entry: Entry) -> tuple[pathlib.Path, bool]:
        """Return an entry's path and whether it holds only the clip; trimmed files come first."""
        for file in sorted(entry.files, key=lambda file: file not in entry.trimmed):
            direct = self._directory / file
            found = direct if has_suffix(file) and direct.is_file() else self._named(file)
            if found is not None:
                return found, file in entry.trimmed
        missing = entry.files[0]
        return self._directory / (missing if has_suffix(missing) else f"{missing}.mp4"), False

    def _named(self, file: str) -> pathlib.Path | None:
        if self._by_stem is None:
            known = [suffix for kind in self._kinds for suffix in file_types.SUFFIXES[kind]]
            self._by_stem = tables.files_by_stem(self._directory, known)
        name = pathlib.PurePosixPath(file)
        found = self._by_stem.get(name.stem if has_suffix(file) else name.name)
        # A name may occur in several classes.
        inside = name.parent.name
        return found if found is not None and inside in ("", found.parent.name) else None


def _clip(entry: Entry) -> ListedClip:
    return ListedClip(
        entry.start or 0.0,
        entry.end,
        texts=entry.texts,
        example_id=entry.example_id,
        may_be_trimmed=bool(entry.trimmed),
    )
