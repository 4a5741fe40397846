# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares an index with the files in its folders; renamed files are found by content."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from mmv_tf.search.files import VideoFile
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Skipped, Video
from mmv_tf.util import files as files_lib
from mmv_tf.util.progress import Progress
from mmv_tf.util.storage.media import at_hand


@dataclasses.dataclass(frozen=True)
class Changes:
    """The result of `compare`.

    Attributes:
      kept: videos in the index, by their current names. A changed file keeps its former rows until
        it is embedded, unless another file has them now.
      todo: files to embed.
      gone: names in the index that no longer exist.
      removed: names of videos whose rows are dropped.
      unchanged: names of videos with the same content.
      renamed: new name -> former name.
    """

    kept: dict[str, Video]
    todo: list[VideoFile]
    gone: list[str]
    removed: list[str]
    unchanged: list[str]
    renamed: dict[str, str]


def compare(
    videos: Mapping[str, Video],
    skipped: Mapping[str, Skipped],
    files: Sequence[VideoFile],
    folders: Folders,
    searched: Collection[str],
    retry: bool = False,
) -> Changes:
    """Compare an index with the existing files.

    Size and modification time decide whether a file is the indexed one. A file is read only if it
    is new or changed and has the size of a video that is gone or changed: if its hash equals the
    video's, it is the same video and keeps its rows.

    Args:
      videos, skipped: the index's content by name.
      files: the existing files.
      folders: the index's folders.
      searched: labels of the folders that were searched for files.
      retry: whether to retry files that could not be indexed before.
    """
    names = {file.name for file in files}
    gone = sorted(name for name in {*videos, *skipped} - names if folders.label(name) in searched)
    kept = {name: video for name, video in videos.items() if name not in gone}
    todo, unchanged = [], []
    for file in files:
        video, refused = videos.get(file.name), skipped.get(file.name)
        if video is not None and (video.size, video.mtime_ns) == file.version:
            unchanged.append(file.name)
            kept[file.name] = dataclasses.replace(video, captions=file.captions)
        elif retry or refused is None or (refused.size, refused.mtime_ns) != file.version:
            todo.append(file)
    present = set(unchanged)
    lost = [
        video
        for name, video in videos.items()
        if name not in present and folders.label(name) in searched
    ]
    renamed = {}
    for file, video in _recognized(todo, lost, folders):
        if kept.get(video.name) is video:
            del kept[video.name]  # another file has its rows now
        kept[file.name] = dataclasses.replace(
            video, name=file.name, mtime_ns=file.mtime_ns, captions=file.captions
        )
        if file.name == video.name:
            unchanged.append(file.name)
        else:
            renamed[file.name] = video.name
    known = {*unchanged, *renamed}
    moved = set(renamed.values())
    return Changes(
        kept=kept,
        todo=[file for file in todo if file.name not in known],
        gone=gone,
        removed=[name for name in gone if name in videos and name not in moved],
        unchanged=unchanged,
        renamed=renamed,
    )


def _recognized(
    files: Sequence[VideoFile], lost: Iterable[Video], folders: Folders
) -> list[tuple[VideoFile, Video]]:
    """Return files with the indexed video that has the same content, each at most once."""
    by_size: dict[int, list[Video]] = collections.defaultdict(list)
    for video in lost:
        if video.sha256 is not None:
            by_size[video.size].append(video)
    possible = [file for file in files if file.size in by_size]
    found = []
    if possible:
        with Progress(len(possible), "compare", "files") as progress:
            for file in possible:
                sha256 = _hash(file, folders)
                same = [video for video in by_size[file.size] if video.sha256 == sha256]
                # Among equal files, prefer the one with the same name.
                for video in sorted(same, key=lambda video: video.name != file.name)[:1]:
                    by_size[file.size].remove(video)
                    found.append((file, video))
                progress.update()
    return found


def _hash(file: VideoFile, folders: Folders) -> str | None:
    """Return a file's hash; None if it can't be read or changes while being read."""
    try:
        path = folders.inside(file.name)
        with at_hand(path):
            sha256 = files_lib.file_sha256(path)
        status = path.stat()
    except (OSError, ValueError):
        return None
    return sha256 if (status.st_size, status.st_mtime_ns) == file.version else None
