# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Updating of an index from a folder of videos."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.search import store
from mmv_tf.search.embedder import Embedder
from mmv_tf.search.files import VideoFile, find_videos, inside
from mmv_tf.search.labels import WindowLabels
from mmv_tf.search.manifest import Manifest, Skipped, Video
from mmv_tf.search.merging import FAISS_ABOVE, merge_where_needed
from mmv_tf.search.parts import Placed, write_parts
from mmv_tf.search.store import SPANS, Index, Writer
from mmv_tf.search.video_rows import EmbeddedVideo, VideoRows
from mmv_tf.util import locks


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of an update.

    Attributes:
      processes: number of decoding processes; 0 decodes in this process, which a file can then hang
        or crash.
      deadline_seconds: most seconds for decoding a block of windows.
      commit_seconds: seconds between commits to the index.
      faiss_above: least windows for using FAISS; None for never.
      retry: retry files that could not be indexed before.
      overwrite: replace an index that is damaged, or of another model, folder or step.
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
      added, changed, removed, unchanged: names of videos.
      skipped: name -> reason, for all files that are not in the index.
      windows: windows in the index.
      seconds: seconds of embedded video.
      faiss: matrix -> result of `approximate.build`, if it was called.
      notes: notes for the user.
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
    labels: WindowLabels | None = None,
) -> IndexReport:
    """Embed new and changed videos, and remove deleted ones from the index.

    After an interruption, call it again; at most the last minute of work is lost.

    Args:
      videos: a folder or a file, see `find_videos`.
      directory: folder of the index, which is created if needed.
      embedder: the model.
      captions: captions of a single file.
      options: see `Options`.
      labels: classifier whose scores of each window are stored too. An update needs the one that
        the index was made with.

    Returns:
      A report of the update.

    Raises:
      ValueError: there are no videos; the index is being written, or is of another model, step or
        folder.
      OSError: the disk is full or can't be written.
    """
    options = options or Options()
    directory = pathlib.Path(directory)
    root, files, refused = find_videos(videos, captions)
    with locks.held(directory / "lock", directory, "writing this index"):
        index = _open(directory, root, embedder, options.overwrite, labels)
        update = _Update(directory, root, index, embedder, options, labels)
        update.report.skipped.update(refused)
        for name, reason in refused.items():
            update.report.notes.append(f"skipped {name}: {reason}")
        update.run(files)
        return update.report


def _open(
    directory: pathlib.Path,
    root: pathlib.Path,
    embedder: Embedder,
    overwrite: bool,
    labels: WindowLabels | None,
) -> Index:
    """Open the index to update, or create an empty one."""
    empty = Manifest(
        generation=0,
        root=str(root),
        model=embedder.path,
        fingerprint=embedder.fingerprint,
        windows=embedder.windows,
        matrices=embedder.matrices,
        options=embedder.options,
        labels=None if labels is None else labels.described,
    )
    try:
        index = store.open_index(directory)
        _check_same(directory, root, embedder, index.manifest)
        _check_labels(directory, labels, index.manifest)
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
    """Raise a ValueError if an index is of another model, other windows or another folder."""
    if not embedder.made(manifest.fingerprint):
        raise ValueError(
            f"{directory}: the index was made with another model ({manifest.model}, "
            f"{manifest.fingerprint[:12]}{_opened(manifest.options)}) than {embedder.path} "
            f"({embedder.fingerprint[:12]}{_opened(embedder.options)}), whose vectors can't be "
            "compared; use that model, another folder for the index, or --overwrite."
        )
    if manifest.windows != embedder.windows:
        raise ValueError(
            f"{directory}: the index has windows every {manifest.windows.step_frames} frames; got "
            f"{embedder.windows.step_frames}; use another folder for the index."
        )
    if manifest.root != str(root):
        raise ValueError(
            f"{directory}: is the index of {manifest.root}; got videos in {root}; use another "
            "folder for the index."
        )


def _check_labels(directory: pathlib.Path, labels: WindowLabels | None, manifest: Manifest) -> None:
    """Raise a ValueError if an index has the labels of another classifier, or none."""
    there = manifest.labels
    given = None if labels is None else labels.described
    if given is None and there is not None:
        raise ValueError(
            f"{directory}: the index has the labels of {there.path}; give --classifier="
            f"{there.path}, or --overwrite to make it again without labels."
        )
    if given is not None and (there is None or there.fingerprint != given.fingerprint):
        other = "no labels" if there is None else f"the labels of another classifier ({there.path})"
        raise ValueError(
            f"{directory}: the index has {other}, and its windows are not stored; give --overwrite "
            f"to make it again with those of {given.path}, or another folder for the index."
        )


def _opened(options: Mapping[str, Any]) -> str:
    """Format options of a model, such as ", dtype=bfloat16"."""
    return "".join(f", {name}={value}" for name, value in sorted(options.items()))


class _Update:
    """One update of an index."""

    def __init__(
        self,
        directory: pathlib.Path,
        root: pathlib.Path,
        index: Index,
        embedder: Embedder,
        options: Options,
        labels: WindowLabels | None,
    ):
        self.report = IndexReport(notes=list(index.warnings))
        self._root = root
        self._embedder = embedder
        self._labels = labels
        self._options = options
        self._writer = Writer(directory, index.manifest)
        self._videos = {video.name: video for video in index.manifest.videos}
        self._skipped = {entry.name: entry for entry in index.manifest.skipped}
        self._pending: list[tuple[EmbeddedVideo, dict[str, np.ndarray]]] = []
        # If the newest state was damaged, write an intact one in any case.
        self._dirty = index.manifest.generation == 0 or bool(index.warnings)
        self._committed = time.monotonic()

    def run(self, files: Sequence[VideoFile]) -> None:
        """Update the index."""
        todo = self._compare(files)
        if todo:
            options = self._options
            rows = VideoRows(
                self._root,
                self._embedder,
                options.processes,
                options.deadline_seconds,
                self._labels,
            )
            with contextlib.closing(rows):
                try:
                    self._embed_all(rows, todo)
                finally:
                    self._commit()  # After Ctrl-C too.
        self._commit()
        merged = merge_where_needed(self._writer, self._options.faiss_above)
        self.report.faiss.update(merged.faiss)
        self.report.notes.extend(merged.notes)
        self.report.skipped.update({e.name: e.reason for e in self._skipped.values()})
        self.report.windows = self._writer.manifest.rows

    def _compare(self, files: Sequence[VideoFile]) -> list[VideoFile]:
        """Return the files to embed, and remove deleted ones."""
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
        """Add a video with all its windows."""
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
            self.report.notes.append(f"{skipped.name} was in the index and can't be read now.")
        self._dirty = True

    def _commit(self) -> None:
        """Commit the embedded videos to the index."""
        self._committed = time.monotonic()
        segments = dict(self._writer.manifest.segments)
        if self._pending:
            pieces = [rows for _, rows in self._pending]
            arrays = {key: np.concatenate([rows[key] for rows in pieces]) for key in pieces[0]}
            placed, first = [], 0
            for video, rows in self._pending:
                placed.append(Placed(video, first, len(rows[SPANS])))
                first += placed[-1].count
            name, files = self._writer.add_segment(arrays, functools.partial(write_parts, placed))
            segments[name] = files
            for one in placed:
                video = one.video
                self._videos[video.file.name] = Video(
                    video.file.name,
                    video.file.size,
                    video.file.mtime_ns,
                    video.info.duration,
                    video.info.has_audio,
                    name,
                    one.first,
                    one.count,
                    video.file.captions,
                )
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
