# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Items in a benchmark's published lists, and their media files."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from mmv_tf.data.datasets import read_published
from mmv_tf.data.datasets.published import (
    TEST,
    TRAIN,
    Entry,
    Published,
    check_division,
    find_division,
)

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Item:
    """One line in a list.

    Attributes:
      item_id: unique in the list.
      file: path inside the data folder, or name with or without suffix.
      split: "train" or "test".
      labels: class indices; one if classes are mutually exclusive.
      ignored: classes for which the item is not counted.
      group: group (a film, a recording) of items that are not independent.
      text: sentence for retrieval.
      start, end: span in the media, in seconds; None means all of it.
      other_files: alternatives to `file`.
      trimmed_files: names of files that hold only the span from start to end. If there are any,
        files with other names also count as trimmed if they exceed the span by at most a second and
        a half, because tools cut at key frames.
    """

    item_id: str
    file: str
    split: str = TEST
    labels: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()
    group: str = ""
    text: str = ""
    start: float | None = None
    end: float | None = None
    other_files: tuple[str, ...] = ()
    trimmed_files: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Listing:
    """A checked list.

    Attributes:
      name: name for messages.
      classes: class names; empty for retrieval.
      items: items in list order.
    """

    name: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"{self.name} lists no items.")
        counts = collections.Counter((item.item_id, item.split) for item in self.items)
        twice = [name for (name, _), count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"{self.name} lists {shown(twice)} more than once; list it once.")
        splits = {split: {i.item_id for i in self.items if i.split == split} for split in
                  (TRAIN, TEST)}  # fmt: skip
        both = sorted(splits[TRAIN] & splits[TEST])
        if both:
            raise ValueError(
                f"{self.name}: the splits overlap: {shown(both)} are in both training and test."
            )
        if self.classes and splits[TRAIN]:
            learnt = {label for item in self.of(TRAIN) for label in item.labels}
            asked = {label for item in self.of(TEST) for label in item.labels}
            unknown = [self.classes[label] for label in sorted(asked - learnt)]
            if unknown:
                raise ValueError(
                    f"{self.name}: test has classes without training examples: {shown(unknown)}."
                )

    def of(self, split: str) -> list[Item]:
        """Return the items in a split."""
        return [item for item in self.items if item.split == split]


def shown(names: Sequence[str]) -> str:
    """Format the first names, and the number of remaining names."""
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def read_listing(
    data_set: str,
    data: pathlib.Path,
    lists: pathlib.Path | None,
    division: str,
    trained: bool = True,
) -> Listing:
    """Read one division of a data set's published lists.

    Args:
      data_set: name in `DATA_SETS`.
      data: the media folder.
      lists: file or folder of the lists; None if they are inside `data`, as in the published
        archive.
      division: an official division or fold.
      trained: whether training items are needed.

    Raises:
      ValueError: a list is missing or invalid, or there is no such division.
    """
    published = read_published(data_set, data, lists, division)
    uses, entries = _divided(published, data_set, division, lists or data)
    names = {label for entry in entries for label in entry.labels}
    classes = published.classes if published.classes is not None else tuple(sorted(names))
    index = {name: number for number, name in enumerate(classes)}
    where = f"{data_set} ({division}) in {lists or data}"
    items = tuple(
        _item(entry, uses[entry.split], index, where) for entry in entries if entry.split in uses
    )
    needed = set(uses.values()) if trained else {TEST}
    for use in sorted(needed - {item.split for item in items}):
        raise ValueError(f"{where}: no list found for {use}.")
    return Listing(where, classes, items)


def _divided(
    published: Published, data_set: str, division: str, lists: pathlib.Path
) -> tuple[dict[str, str], list[Entry]]:
    """Return each split's use, TRAIN or TEST, and the entries of a division."""
    folds = {entry.fold for entry in published.entries} - {""}
    if not folds:
        found = find_division(data_set, division, published.divisions, lists)
        uses = dict.fromkeys(found.train, TRAIN) | dict.fromkeys(found.test, TEST)
        return uses, [entry for entry in published.entries if entry.split in uses]
    check_division(data_set, division, folds, lists)
    entries = [entry for entry in published.entries if entry.fold == division]
    return {TRAIN: TRAIN, TEST: TEST}, entries


def _item(entry: Entry, use: str, index: dict[str, int], where: str) -> Item:
    if index and not (entry.labels or entry.ignored):
        raise ValueError(f"{where}: {entry.entry_id} has no class.")
    if not index and not any(text.strip() for text in entry.texts):
        raise ValueError(f"{where}: {entry.entry_id} has no sentence.")
    start, end = entry.start, entry.end
    if start is not None and end is not None and not 0 <= start < end:
        raise ValueError(
            f"{where}: {entry.entry_id} spans {start:g} to {end:g} s; expected an end after the "
            "start, which is at least 0."
        )
    return Item(
        entry.entry_id,
        entry.files[0],
        use,
        tuple(sorted(index[label] for label in entry.labels)),
        tuple(sorted(index[label] for label in entry.ignored)),
        group=entry.group,
        text=entry.texts[0].strip() if entry.texts else "",
        start=start,
        end=end,
        other_files=entry.files[1:],
        trimmed_files=entry.trimmed,
    )


class MediaIndex:
    """Index of a folder's files by path, by name, and by name without suffix.

    Args:
      directory: folder to search, with its subfolders.

    Raises:
      ValueError: the path is not a folder.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        if not directory.is_dir():
            raise ValueError(f"{directory} is not a folder; pass the folder of the media (--data).")
        self._by_name: dict[str, list[pathlib.Path]] = {}
        for path in sorted(directory.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                for name in {path.name, path.stem}:
                    self._by_name.setdefault(name, []).append(path)

    def find(self, file: str) -> pathlib.Path | None:
        """Return the path to a listed file, or None.

        Raises:
          ValueError: several files match.
        """
        direct = self.directory / file
        if direct.is_file():
            return direct
        name = pathlib.PurePosixPath(file).name
        # "a.b" may be a name with a suffix, or a name that contains a dot.
        found = self._by_name.get(name) or self._by_name.get(pathlib.PurePosixPath(name).stem) or []
        parent = pathlib.PurePosixPath(file).parent.name
        if len(found) > 1 and parent:
            found = [path for path in found if path.parent.name == parent] or found
        if len(found) > 1:
            raise ValueError(f"{file!r} matches {shown([str(path) for path in found])}; keep one.")
        return found[0] if found else None

    def find_all(self, items: Iterable[Item]) -> tuple[dict[str, pathlib.Path], list[str]]:
        """Return the paths by item id, and the ids of items without media."""
        paths, missing = {}, []
        for item in items:
            names = (item.file, *item.other_files)
            path = next(filter(None, map(self.find, names)), None)
            if path is None:
                missing.append(item.item_id)
            else:
                paths[item.item_id] = path
        return paths, missing
