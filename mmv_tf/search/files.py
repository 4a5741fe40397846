# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the videos in folders, their changes, and one machine's share of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import stat

from mmv_tf.data.captions import CaptionFiles
from mmv_tf.data.file_types import SUFFIXES, VIDEO, kind_of
from mmv_tf.util.shares import Share
from mmv_tf.util.storage.media import outlined


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """A video file.

    Attributes:
      name: path inside the root, with slashes; see `folders.Folders` for several roots.
      size, mtime_ns: size and modification time, to detect changes.
      captions: path inside the root of the caption file beside it, or a path given by the user.
    """

    name: str
    size: int
    mtime_ns: int
    captions: str | None = None

    @property
    def version(self) -> tuple[int, int]:
        """Return values that change when the file changes."""
        return self.size, self.mtime_ns


def video_id(name: str) -> str:
    """Return a video's id in the page's URLs, an opaque string without special characters."""
    return _digest(name)[:20]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


class Shard(Share):
    """One machine's share of the files, which depends only on their names."""

    def holds(self, name: str) -> bool:
        """Return whether a file belongs to this share."""
        return int(_digest(name)[:16], 16) % self.count == self.number - 1


def find_videos(
    videos: str | os.PathLike[str], captions: str | os.PathLike[str] | None = None
) -> tuple[pathlib.Path, list[VideoFile], dict[str, str]]:
    """Find videos.

    Args:
      videos: a folder, which is searched with its subfolders, or one file. Hidden files and
        folders are skipped and links to folders are not followed.
      captions: captions for a single file; by default, the file beside it.

    Returns:
      The root folder (resolved), the videos by name, and name -> reason for rejected files: links
      that point outside the root, and files that are not regular.

    Raises:
      ValueError: there are no videos.
    """
    path = pathlib.Path(videos)
    if path.is_file():
        root = path.resolve().parent
        found = [path.resolve().name]
    elif path.is_dir():
        if captions is not None:
            raise ValueError(f"{path} is a folder; captions can be given for a single video only.")
        root = path.resolve()
        found = _walk(root)
    else:
        raise ValueError(f"{path}: no such file or folder; give a folder of videos.")
    files, refused = [], {}
    known = CaptionFiles()
    for name in found:
        try:
            target = inside(root, name)
            status = target.stat()
        except (OSError, ValueError) as error:
            refused[name] = getattr(error, "strerror", None) or str(error)
            continue
        if captions is not None:
            beside: str | None = os.path.realpath(captions)
        else:
            texts = known.beside(root / name)
            beside = texts[0].relative_to(root).as_posix() if texts else None
        files.append(VideoFile(name, status.st_size, status.st_mtime_ns, beside))
    if not files and not refused:
        raise ValueError(f"{path}: no video found; expected files in {', '.join(SUFFIXES[VIDEO])}.")
    return root, files, refused


def inside(root: pathlib.Path, name: str) -> pathlib.Path:
    """Return the regular file with a name inside a root, following links.

    Raises:
      ValueError: the file is outside the root, or not a regular file.
      OSError: the file does not exist.
    """
    outlined(root / name)
    # Before Python 3.13, pathlib's function raises a RuntimeError for circular links.
    base = pathlib.Path(os.path.realpath(root, strict=True))
    target = pathlib.Path(os.path.realpath(base / name, strict=True))
    if not target.is_relative_to(base):
        raise ValueError("points outside the folder")
    if not stat.S_ISREG(target.stat().st_mode):
        raise ValueError("is not a regular file")
    return target


def _walk(root: pathlib.Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if kind_of(name) == VIDEO and name[0] != ".":
                found.append(pathlib.Path(folder, name).relative_to(root).as_posix())
    return found
