# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Brings an index up to date with a folder of videos."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.search import store
from mmv_tf.search.embedder import Embedder
from mmv_tf.search.files import VideoFile, find_videos, inside
from mmv_tf.search.manifest import Manifest, Skipped, Video
from mmv_tf.search.merging import FAISS_ABOVE, merge_where_needed
from mmv_tf.search.store import SPANS, Index, Writer
from mmv_tf.search.video_rows import EmbeddedVideo, VideoRows
from mmv_tf.util import locks


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of an update.

    Attributes:
      processes: that decode; 0 decodes in this one, where a file can hang or crash it.
      deadline_seconds: for decoding a block of windows.
      commit_seconds: after which what is done is made part of the index.
      faiss_above: windows from which on FAISS's files are made; None for never.
      retry: try files again that could not be indexed.
      overwrite: begin anew where the index is of another network, folder or windows, or damaged.
    """

    processes: int = dataclasses.field(
        default_factory=lambda: max(1, len(os.sched_getaffinity(0)) // 2)
    )
    deadline_seconds: float = 120.0
    commit_seconds: float = 60.0
    faiss_above: int | None = FAISS_ABOVE
    retry: bool = False
    overwrite: bool = False


@dataclasses.dataclass
class IndexReport:
    """Report of an update.

    Attributes:
      added, changed, removed, unchanged: videos by name.
      skipped: name -> reason, of all files that are not in the index.
      windows: in the index.
      seconds: of video that were embedded.
      faiss: matrix -> what `approximate.build` measured, where it was made now.
      notes: what the user should know.
    """

    added: list[str] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    unchanged: list[str] = dataclasses.field(default_factory=list)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    windows: int = 0
    seconds: float = 0.0
    faiss: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def update_index(
    videos: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    embedder: Embedder,
    captions: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> IndexReport:
    """Embeds what is new or changed and forgets what is gone.

    Stopped at any time, it goes on from the videos that were done up to a minute before.

    Args:
      videos: a folder or a file, see `find_videos`.
      directory: of the index, made if it is not there.
      embedder: the network.
      captions: of a single file.
      options: see `Options`.

    Returns:
      What was done.

    Raises:
      ValueError: there are no videos; the index is being written, or was made with another network,
        other windows or of another folder.
      OSError: the disk is full or can't be written.
    """
    options = options or Options()
    directory = pathlib.Path(directory)
    root, files, refused = find_videos(videos, captions)
    with locks.held(directory / "lock", directory, "writing this index"):
        index = _open(directory, root, embedder, options.overwrite)
        update = _Update(directory, root, index, embedder, options)
        update.report.skipped.update(refused)
        for name, reason in refused.items():
            update.report.notes.append(f"skipped {name}: {reason}")
        update.run(files)
        return update.report


def _open(
    directory: pathlib.Path, root: pathlib.Path, embedder: Embedder, overwrite: bool
) -> Index:
    """The index to go on from, or an empty one."""
    empty = Manifest(
        generation=0,
        root=str(root),
        model=embedder.path,
        fingerprint=embedder.fingerprint,
        windows=embedder.windows,
        matrices=embedder.matrices,
        options=embedder.options,
    )
    try:
        index = store.open_index(directory)
        _check_same(directory, root, embedder, index.manifest)
    except store.MissingIndex:
        return Index(directory, empty, {})
    except ValueError:
        if not overwrite:
            raise
        return Index(directory, empty, {})
    return index


def _check_same(
    directory: pathlib.Path, root: pathlib.Path, embedder: Embedder, manifest: Manifest
) -> None:
    """Raises a ValueError if an index is of another network, other windows or another folder."""
    if not embedder.made(manifest.fingerprint):
        raise ValueError(
            f"{directory}: the index was made with another network ({manifest.model}, "
            f"{manifest.fingerprint[:12]}{_opened(manifest.options)}) than {embedder.path} "
            f"({embedder.fingerprint[:12]}{_opened(embedder.options)}), whose vectors can't be "
            "compared; take that network or another folder for the index, or --overwrite it."
        )
    if manifest.windows != embedder.windows:
        raise ValueError(
            f"{directory}: the index has windows every {manifest.windows.step_frames} frames; got "
            f"{embedder.windows.step_frames}; take another folder for the index."
        )
    if manifest.root != str(root):
        raise ValueError(
            f"{directory}: is the index of {manifest.root}; got videos in {root}; an index is of "
            "one folder, so take another folder for the index."
        )


def _opened(options: Mapping[str, Any]) -> str:
    """Options of a network for a message, such as ", dtype=bfloat16"."""
    return "".join(f", {name}={value}" for name, value in sorted(options.items()))


class _Update:
    """One run of the indexer."""

    def __init__(
        self,
        directory: pathlib.Path,
        root: pathlib.Path,
        index: Index,
        embedder: Embedder,
        options: Options,
    ):
        self.report = IndexReport(notes=list(index.warnings))
        self._root = root
        self._embedder = embedder
        self._options = options
        self._writer = Writer(directory, index.manifest)
        self._videos = {video.name: video for video in index.manifest.videos}
        self._skipped = {entry.name: entry for entry in index.manifest.skipped}
        self._pending: list[tuple[EmbeddedVideo, dict[str, np.ndarray]]] = []
        # Where the newest state was damaged, a whole one is written in any case.
        self._dirty = index.manifest.generation == 0 or bool(index.warnings)
        self._committed = time.monotonic()

    def run(self, files: Sequence[VideoFile]) -> None:
        """Bring the index up to date."""
        todo = self._compare(files)
        if todo:
            options = self._options
            rows = VideoRows(
                self._root, self._embedder, options.processes, options.deadline_seconds
            )
            with contextlib.closing(rows):
                try:
                    self._embed_all(rows, todo)
                finally:
                    self._commit()  # After Ctrl-C too: what is done is done.
        self._commit()
        merged = merge_where_needed(self._writer, self._options.faiss_above)
        self.report.faiss.update(merged.faiss)
        self.report.notes.extend(merged.notes)
        self.report.skipped.update({e.name: e.reason for e in self._skipped.values()})
        self.report.windows = self._writer.manifest.rows

    def _compare(self, files: Sequence[VideoFile]) -> list[VideoFile]:
        """Return the files to embed; forget those that are gone."""
        there = {file.name for file in files}
        for name in sorted({*self._videos, *self._skipped} - there):
            self._skipped.pop(name, None)
            if self._videos.pop(name, None) is not None:
                self.report.removed.append(name)
            self._dirty = True
        todo = []
        for file in files:
            video, skipped = self._videos.get(file.name), self._skipped.get(file.name)
            if video is not None and (video.size, video.mtime_ns) == file.version:
                self.report.unchanged.append(file.name)
                if video.captions != file.captions:
                    renamed = dataclasses.replace(video, captions=file.captions)
                    self._videos[file.name], self._dirty = renamed, True
                continue
            same = skipped is not None and (skipped.size, skipped.mtime_ns) == file.version
            if same and not self._options.retry:
                continue
            todo.append(file)
        return todo

    def _embed_all(self, rows: VideoRows, files: Sequence[VideoFile]) -> None:
        for file in files:
            self._skipped.pop(file.name, None)
        with contextlib.closing(rows.embed(files)) as embedded:
            for found in embedded:
                if isinstance(found, Skipped):
                    self._skip(found)
                else:
                    self._take(found)

    def _take(self, video: EmbeddedVideo) -> None:
        """Take a video whose windows are all embedded."""
        name = video.file.name
        try:
            status = inside(self._root, name).stat()
            unchanged = (status.st_size, status.st_mtime_ns) == video.file.version
        except (OSError, ValueError):
            unchanged = False
        if not unchanged:
            self.report.notes.append(f"{name} changed while it was read; run the command again.")
            return
        self._pending.append((video, video.rows()))
        self._skipped.pop(name, None)
        (self.report.changed if name in self._videos else self.report.added).append(name)
        self.report.seconds += video.info.duration
        if time.monotonic() - self._committed >= self._options.commit_seconds:
            self._commit()

    def _skip(self, skipped: Skipped) -> None:
        self._skipped[skipped.name] = skipped
        if self._videos.pop(skipped.name, None) is not None:
            self.report.notes.append(f"{skipped.name} was in the index and can't be read any more.")
        self._dirty = True

    def _commit(self) -> None:
        """Make what is done part of the index."""
        self._committed = time.monotonic()
        segments = dict(self._writer.manifest.segments)
        if self._pending:
            pieces = [rows for _, rows in self._pending]
            arrays = {key: np.concatenate([rows[key] for rows in pieces]) for key in pieces[0]}
            name, files = self._writer.add_segment(arrays)
            segments[name] = files
            first = 0
            for video, rows in self._pending:
                count = len(rows[SPANS])
                self._videos[video.file.name] = Video(
                    video.file.name,
                    video.file.size,
                    video.file.mtime_ns,
                    video.info.duration,
                    video.info.has_audio,
                    name,
                    first,
                    count,
                    video.file.captions,
                )
                first += count
            self._pending.clear()
        elif not self._dirty:
            return
        self._dirty = False
        self._writer.commit(
            videos=tuple(self._videos[name] for name in sorted(self._videos)),
            skipped=tuple(self._skipped[name] for name in sorted(self._skipped)),
            segments=segments,
            model=self._embedder.path,
            options=self._embedder.options,
        )
