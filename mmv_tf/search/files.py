# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The videos under a folder, and which of them changed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import stat

from mmv_tf.data.captions import CaptionFiles
from mmv_tf.data.file_types import SUFFIXES, VIDEO, kind_of


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """A file found.

    Attributes:
      name: its path inside the root, with slashes.
      size, mtime_ns: by which a change is noticed.
      captions: path inside the root of the caption file beside it, or a path given by the user.
    """

    name: str
    size: int
    mtime_ns: int
    captions: str | None = None

    @property
    def version(self) -> tuple[int, int]:
        """Differs once the file was written to."""
        return self.size, self.mtime_ns


def video_id(name: str) -> str:
    """What the page's addresses call a video: tells nothing and holds no special character."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:20]


def find_videos(
    videos: str | os.PathLike[str], captions: str | os.PathLike[str] | None = None
) -> tuple[pathlib.Path, list[VideoFile], dict[str, str]]:
    """Finds videos.

    Args:
      videos: a folder, all of which is looked through, or one file. Hidden files and folders are
        left out and links to folders are not followed.
      captions: of one file, where they don't lie beside it.

    Returns:
      The root folder (resolved), the videos by name, and name -> reason of those that can't be
      taken: links that lead out of the root, and what is no regular file.

    Raises:
      ValueError: nothing is there.
    """
    path = pathlib.Path(videos)
    if path.is_file():
        root = path.resolve().parent
        found = [path.resolve().name]
    elif path.is_dir():
        if captions is not None:
            raise ValueError(f"{path} is a folder; captions can be given for one video only.")
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
    """The regular file that a name inside a root stands for, links followed.

    Raises:
      ValueError: it lies outside of the root, or is no regular file.
      OSError: it is not there.
    """
    # Not pathlib's: until Python 3.13 it raises a RuntimeError for links in a circle.
    base = pathlib.Path(os.path.realpath(root, strict=True))
    target = pathlib.Path(os.path.realpath(base / name, strict=True))
    if not target.is_relative_to(base):
        raise ValueError("leads out of the folder")
    if not stat.S_ISREG(target.stat().st_mode):
        raise ValueError("is no regular file")
    return target


def _walk(root: pathlib.Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if kind_of(name) == VIDEO and name[0] != ".":
                found.append(pathlib.Path(folder, name).relative_to(root).as_posix())
    return found
