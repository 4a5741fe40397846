# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""An index's folders, and the unique names of the videos in them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

from mmv_tf.search.files import VideoFile, find_videos, inside


@dataclasses.dataclass(frozen=True)
class Folders:
    """An index's folders, with unique names for their files.

    With one folder, names are relative to it, and its label is "". With several folders, names
    start with the folder's label, such as "films/a.mp4".

    Attributes:
      roots: label -> path, resolved.
    """

    roots: Mapping[str, str]

    def label(self, name: str) -> str:
        """Return the label of a file's folder.

        Raises:
          ValueError: there is no such folder.
        """
        label = "" if "" in self.roots else name.partition("/")[0]
        if label not in self.roots:
            raise ValueError("is not in a folder of the index")
        return label

    def path(self, name: str) -> pathlib.Path:
        """Return the path to a file by name, unchecked; see `inside`.

        Raises:
          ValueError: there is no such folder.
        """
        return pathlib.Path(*self._parts(name))

    def inside(self, name: str) -> pathlib.Path:
        """Return the regular file with a name, following links that stay in its folder.

        Raises:
          ValueError: the file is outside the folder, or not a regular file.
          OSError: the file does not exist.
        """
        root, relative = self._parts(name)
        return inside(pathlib.Path(root), relative)

    def _parts(self, name: str) -> tuple[str, str]:
        label = self.label(name)
        return self.roots[label], name.removeprefix(f"{label}/") if label else name

    def with_roots(self, paths: Sequence[pathlib.Path]) -> Folders:
        """Return these folders together with others, without duplicates.

        Raises:
          ValueError: a folder is inside another, so that files would have two names.
        """
        known = [pathlib.Path(root) for root in self.roots.values()]
        new = [path for path in dict.fromkeys(paths) if path not in known]
        for inner in new:
            for outer in (*known, *new):
                if inner != outer and (inner.is_relative_to(outer) or outer.is_relative_to(inner)):
                    raise ValueError(
                        f"{inner} and {outer}: one is inside the other; give only the outer folder."
                    )
        if len(known) + len(new) == 1:
            return Folders({"": str([*known, *new][0])})
        labels = {label: root for label, root in self.roots.items() if label}
        for path in new if labels else (*known, *new):
            labels[_label(path, labels)] = str(path)
        return Folders(labels)

    def moved(self, paths: Sequence[pathlib.Path]) -> Folders:
        """Return these folders with the one missing folder replaced by the one new path.

        Raises:
          ValueError: not exactly one folder is missing, or not exactly one is new.
        """
        gone = [label for label, root in self.roots.items() if not os.path.isdir(root)]
        new = [path for path in dict.fromkeys(paths) if str(path) not in self.roots.values()]
        if len(gone) != 1 or len(new) != 1:
            raise ValueError(
                f"Got {len(new)} new folders for {len(gone)} missing folders of the index; "
                "expected one of each: move them one by one."
            )
        return Folders({**self.roots, gone[0]: str(new[0])})

    def without(self, paths: Sequence[str | os.PathLike[str]]) -> Folders:
        """Return these folders without the given ones, which need not exist on disk.

        Raises:
          ValueError: a path is not one of these folders.
        """
        kept = dict(self.roots)
        for path in paths:
            label = {root: label for label, root in kept.items()}.get(os.path.realpath(path))
            if label is None:
                raise ValueError(
                    f"{os.fspath(path)} is not a folder of the index, which has "
                    f"{', '.join(self.roots.values())}."
                )
            del kept[label]
        return Folders(kept)

    def relabeled(self, name: str, folders: Folders) -> str:
        """Return the name that a file in these folders has in a larger set of folders.

        An absolute path, as of captions given by the user, does not change.
        """
        if os.path.isabs(name):
            return name
        label = self.label(name)
        (new,) = (other for other, root in folders.roots.items() if root == self.roots[label])
        return named(new, name.removeprefix(f"{label}/") if label else name)


def named(label: str, relative: str) -> str:
    """Return a file's name from its folder's label and its path inside the folder."""
    return f"{label}/{relative}" if label else relative


def _label(path: pathlib.Path, taken: Mapping[str, str]) -> str:
    """Return a folder's own name, with a number if it is taken."""
    name, number = path.name or "root", 2
    label = name
    while label in taken:
        label, number = f"{name}-{number}", number + 1
    return label


@dataclasses.dataclass(frozen=True)
class Found:
    """The result of `find_all`.

    Attributes:
      known: folders that the index already has, without forgotten ones.
      folders: folders of the updated index, including those that were not searched.
      searched: labels of the folders that were searched.
      files: videos in them, by name.
      refused: name -> reason for rejected files.
    """

    known: Folders
    folders: Folders
    searched: frozenset[str]
    files: list[VideoFile]
    refused: dict[str, str]


def find_all(
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    captions: str | os.PathLike[str] | None = None,
    known: Folders | None = None,
    moved: bool = False,
) -> Found:
    """Find the videos in one or more folders.

    Args:
      videos: folders or files; see `find_videos`.
      captions: captions for a single file.
      known: folders that an index already has. They are kept if one of them is given.
      moved: treat the one new folder as the new location of the one missing folder.

    Raises:
      ValueError: there are no videos, or a folder is inside another.
    """
    given = [videos] if isinstance(videos, str | os.PathLike) else list(videos)
    if captions is not None and len(given) > 1:
        raise ValueError(f"Got {len(given)} videos; captions can be given for a single video only.")
    found = [find_videos(one, captions) for one in given]
    roots = [root for root, _, _ in found]
    if known is not None and moved:
        known = known.moved(roots)
    if known is None or not {str(root) for root in roots} & set(known.roots.values()):
        known = Folders({})
    folders = known.with_roots(roots)
    labels = {path: label for label, path in folders.roots.items()}
    files: dict[str, VideoFile] = {}
    refused: dict[str, str] = {}
    for root, inner, wrong in found:
        label = labels[str(root)]
        for file in inner:
            text = file.captions
            if text is not None and not os.path.isabs(text):
                text = named(label, text)
            name = named(label, file.name)
            files[name] = dataclasses.replace(file, name=name, captions=text)
        refused |= {named(label, name): reason for name, reason in wrong.items()}
    searched = frozenset(labels[str(root)] for root, _, _ in found)
    return Found(known, folders, searched, list(files.values()), refused)
