# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a benchmark's list says, item by item; and where the items' media are."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

TRAIN, TEST = "train", "test"
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Item:
    """One line of a list.

    Attributes:
      item_id: unique in the list.
      file: path inside the data's folder, or the media's name with or without suffix.
      split: "train" or "test".
      labels: class indices; one where classes exclude each other.
      ignored: classes for which the item counts neither way.
      group: items of one group (a film, a recording) are no independent samples.
      text: its sentence, for retrieval.
      start, end: seconds of the media; None for all of it.
      other_files: what the media may be called besides, as `file`.
      may_be_trimmed: media no longer than from start to end (and a second and a half more, as tools
        cut at key frames) are that part already.
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
    may_be_trimmed: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """A list, read whole and checked.

    Attributes:
      name: for messages.
      classes: names; empty for retrieval.
      items: in the list's order.
    """

    name: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"{self.name} lists nothing.")
        counts = collections.Counter((item.item_id, item.split) for item in self.items)
        twice = [name for (name, _), count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"{self.name} lists {shown(twice)} more than once; each id once.")
        splits = {split: {i.item_id for i in self.items if i.split == split} for split in
                  (TRAIN, TEST)}  # fmt: skip
        both = sorted(splits[TRAIN] & splits[TEST])
        if both:
            raise ValueError(
                f"{self.name}: the splits overlap: {shown(both)} are in training and in test."
            )
        if self.classes and splits[TRAIN]:
            learnt = {label for item in self.of(TRAIN) for label in item.labels}
            asked = {label for item in self.of(TEST) for label in item.labels}
            unknown = [self.classes[label] for label in sorted(asked - learnt)]
            if unknown:
                raise ValueError(
                    f"{self.name}: test has classes that training has no example of: "
                    f"{shown(unknown)}."
                )

    def of(self, split: str) -> list[Item]:
        """The items of a split."""
        return [item for item in self.items if item.split == split]


def shown(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def class_index(classes: Sequence[str], name: str, where: str) -> int:
    """Index of a class.

    Raises:
      ValueError: if there is no such class.
    """
    try:
        return classes.index(name)
    except ValueError:
        raise ValueError(
            f"{where}: unknown class {name!r}; known are {shown(list(classes))}."
        ) from None


class MediaIndex:
    """All files of a folder, to be found by path, by name, or by name without suffix.

    Args:
      directory: looked through with all folders in it.

    Raises:
      ValueError: if it is no folder.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        if not directory.is_dir():
            raise ValueError(f"{directory} is no folder; give the folder of the media (--data).")
        self._by_name: dict[str, list[pathlib.Path]] = {}
        for path in sorted(directory.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                for name in {path.name, path.stem}:
                    self._by_name.setdefault(name, []).append(path)

    def find(self, file: str) -> pathlib.Path | None:
        """The path of a listed file, None if it is not there.

        Raises:
          ValueError: if several files fit.
        """
        direct = self.directory / file
        if direct.is_file():
            return direct
        name = pathlib.PurePosixPath(file).name
        # "a.b" may be a name with a suffix or one with a dot in it.
        found = self._by_name.get(name) or self._by_name.get(pathlib.PurePosixPath(name).stem) or []
        parent = pathlib.PurePosixPath(file).parent.name
        if len(found) > 1 and parent:
            found = [path for path in found if path.parent.name == parent] or found
        if len(found) > 1:
            raise ValueError(
                f"{file!r} may be any of {shown([str(path) for path in found])}; keep one."
            )
        return found[0] if found else None

    def find_all(self, items: Iterable[Item]) -> tuple[dict[str, pathlib.Path], list[str]]:
        """Paths by item id, and the ids of items without media."""
        paths, missing = {}, []
        for item in items:
            names = (item.file, *item.other_files)
            path = next(filter(None, map(self.find, names)), None)
            if path is None:
                missing.append(item.item_id)
            else:
                paths[item.item_id] = path
        return paths, missing
