# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Updates an index from video folders."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.data.transcription import Transcripts
from mmv_tf.search.changes import Changes, compare
from mmv_tf.search.embedder import Embedder
from mmv_tf.search.files import Shard, VideoFile
from mmv_tf.search.folders import Folders, Found, find_all
from mmv_tf.search.frames import FRAMES_PER_SECOND, MAX_FRAMES_PER_SECOND, FrameSampler
from mmv_tf.search.labels import WindowLabels
from mmv_tf.search.manifest import Skipped, Video
from mmv_tf.search.merging import FAISS_ABOVE, merge_where_needed
from mmv_tf.search.narration import update_speech
from mmv_tf.search.opening import known_folders, open_for_update
from mmv_tf.search.parts import Placed, write_parts
from mmv_tf.search.store import SPANS, Index, Writer
from mmv_tf.search.video_rows import EmbeddedVideo, VideoRows
from mmv_tf.util import files as files_lib
from mmv_tf.util import locks
from mmv_tf.util.storage.media import at_hand


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings for an update.

    Attributes:
      processes: number of decoding processes; 0 decodes in this process, which a file can then hang
        or crash.
      deadline_seconds: maximum seconds to decode a block of windows.
      commit_seconds: seconds between commits to the index.
      faiss_above: minimum number of windows to use FAISS; None for never.
      retry: whether to retry files that could not be indexed before.
      overwrite: replace an index that is damaged, or was made with another model, folder or step.
      shard: this machine's share of the files; None means all.
      frames_per_second: minimum frames per second to describe, so that images can find them, in a
        new index; 0 for none. An update keeps the index's number.
      moved: treat the one new folder as the new location of the index's missing folder.
      forget: folders to remove from the index, with their videos.
      transcripts: transcripts for films without captions; None for no transcripts.
    """

    processes: int = dataclasses.field(
        default_factory=lambda: max(1, len(os.sched_getaffinity(0)) // 2)
    )
    deadline_seconds: float = 120.0
    commit_seconds: float = 60.0
    faiss_above: int | None = FAISS_ABOVE
    retry: bool = False
    overwrite: bool = False
    shard: Shard | None = None
    transcripts: Transcripts | None = None
    frames_per_second: float = FRAMES_PER_SECOND
    moved: bool = False
    forget: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.frames_per_second <= MAX_FRAMES_PER_SECOND:
            raise ValueError(
                f"frames_per_second is {self.frames_per_second:g}; expected 0 (no frames) to "
                f"{MAX_FRAMES_PER_SECOND:g}."
            )


@dataclasses.dataclass
class IndexReport:
    """The report of an update.

    Attributes:
      added, changed, removed, unchanged: video names.
      renamed: new name -> former name, for files that were recognized by their content.
      skipped: name -> reason, for all files that are not in the index.
      windows: number of windows in the index.
      seconds: seconds of embedded video.
      faiss: matrix -> result of `approximate.build`, if it was called.
      cues: number of speech cues in the index.
      captioned, transcribed: names of videos whose captions or transcripts were indexed.
      notes: notes for the user.
    """

    added: list[str] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    unchanged: list[str] = dataclasses.field(default_factory=list)
    renamed: dict[str, str] = dataclasses.field(default_factory=dict)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    windows: int = 0
    seconds: float = 0.0
    faiss: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    cues: int = 0
    captioned: list[str] = dataclasses.field(default_factory=list)
    transcribed: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def update_index(
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    embedder: Embedder,
    captions: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    labels: WindowLabels | None = None,
) -> IndexReport:
    """Embed new and changed videos, and remove deleted ones from the index.

    After an interruption, call it again; at most the last minute of work is lost. Renamed and moved
    files are recognized by their content. Folders in the index that are not given do not change.

    Args:
      videos: folders or files; see `find_all`.
      directory: the index folder, which is created if needed.
      embedder: the model.
      captions: captions for a single file.
      options: see `Options`.
      labels: classifier whose scores for each window are stored too. An update needs the classifier
        that the index was made with.

    Returns:
      A report of the update.

    Raises:
      ValueError: there are no videos; the index is being written, or was made with another model,
        step or folder.
      OSError: the disk is full or not writable.
    """
    options = options or Options()
    directory = pathlib.Path(directory)
    known = known_folders(directory)
    found = find_all(videos, captions, known.without(options.forget), options.moved)
    with locks.held(directory / "lock", directory, "writing this index"):
        index = open_for_update(
            directory,
            found,
            embedder,
            labels,
            options.shard,
            options.overwrite,
            options.frames_per_second,
            options.moved or bool(options.forget),
        )
        update = _Update(directory, found.folders, index, embedder, options, labels)
        update.has_changed |= found.folders != known
        update.report.skipped.update(found.refused)
        for name, reason in found.refused.items():
            update.report.notes.append(f"skipped {name}: {reason}")
        update.run(found)
        return update.report


class _Update:
    """One update of an index."""

    def __init__(
        self,
        directory: pathlib.Path,
        folders: Folders,
        index: Index,
        embedder: Embedder,
        options: Options,
        labels: WindowLabels | None,
    ):
        self.report = IndexReport(notes=list(index.warnings))
        self._folders = folders
        self._embedder = embedder
        self._labels = labels
        self._options = options
        self._writer = Writer(directory, index.manifest)
        self._videos = {video.name: video for video in index.manifest.videos}
        self._skipped = {entry.name: entry for entry in index.manifest.skipped}
        self._pending: list[tuple[EmbeddedVideo, dict[str, np.ndarray], str]] = []
        # If the newest state was damaged, write an intact state in any case.
        self.has_changed = index.manifest.generation == 0 or bool(index.warnings)
        self._before = set(self._videos)
        self._committed = time.monotonic()

    def run(self, found: Found) -> None:
        """Update the index."""
        options = self._options
        files = [
            file for file in found.files if options.shard is None or options.shard.holds(file.name)
        ]
        changes = compare(
            self._videos, self._skipped, files, self._folders, found.searched, options.retry
        )
        self._apply(changes)
        if changes.todo:
            if changes.renamed:
                self._commit()  # So that an interruption does not lose what was recognized.
            rows = VideoRows(
                self._folders,
                self._embedder,
                options.processes,
                options.deadline_seconds,
                self._labels,
                self._sampler(),
            )
            with contextlib.closing(rows):
                try:
                    self._embed_all(rows, changes.todo)
                finally:
                    self._commit()  # After Ctrl-C too.
        self._commit()
        said = update_speech(
            self._writer, self._folders, options.transcripts, options.commit_seconds
        )
        self.report.cues = said.cues
        self.report.captioned += said.captioned
        self.report.transcribed += said.transcribed
        self.report.notes += said.notes
        merged = merge_where_needed(self._writer, options.faiss_above)
        self.report.faiss.update(merged.faiss)
        self.report.notes.extend(merged.notes)
        self.report.skipped.update({e.name: e.reason for e in self._skipped.values()})
        self.report.windows = self._writer.manifest.rows

    def _sampler(self) -> FrameSampler | None:
        rate = self._writer.manifest.frames_per_second
        if not rate:
            return None
        return FrameSampler(self._embedder.frame_encoder, rate, self._embedder.windows)

    def _apply(self, changes: Changes) -> None:
        """Keep the videos that still exist, under their current names."""
        self.has_changed |= changes.kept != self._videos or bool(changes.gone)
        self._videos = dict(changes.kept)
        for name in (*changes.gone, *changes.renamed):
            self._skipped.pop(name, None)
        self.report.removed.extend(changes.removed)
        self.report.unchanged.extend(changes.unchanged)
        self.report.renamed.update(changes.renamed)

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
            path = self._folders.inside(name)
            with at_hand(path):
                sha256 = files_lib.file_sha256(path)
            status = path.stat()
            unchanged = (status.st_size, status.st_mtime_ns) == video.file.version
        except (OSError, ValueError):
            unchanged = False
        if not unchanged:
            self.report.notes.append(f"{name} changed while it was read; run the command again.")
            return
        self._pending.append((video, video.rows(), sha256))
        self._skipped.pop(name, None)
        (self.report.changed if name in self._before else self.report.added).append(name)
        self.report.seconds += video.info.duration
        if time.monotonic() - self._committed >= self._options.commit_seconds:
            self._commit()

    def _skip(self, skipped: Skipped) -> None:
        self._skipped[skipped.name] = skipped
        if self._videos.pop(skipped.name, None) is not None:
            self.report.notes.append(f"{skipped.name} was in the index but can't be read now.")
        self.has_changed = True

    def _commit(self) -> None:
        """Commit the embedded videos to the index."""
        self._committed = time.monotonic()
        segments = dict(self._writer.manifest.segments)
        if self._pending:
            pieces = [rows for _, rows, _ in self._pending]
            arrays = {key: np.concatenate([rows[key] for rows in pieces]) for key in pieces[0]}
            placed, first = [], 0
            for video, rows, _ in self._pending:
                placed.append(Placed(video, first, len(rows[SPANS])))
                first += placed[-1].count
            name, files = self._writer.add_segment(arrays, functools.partial(write_parts, placed))
            segments[name] = files
            for one, (video, _, sha256) in zip(placed, self._pending, strict=True):
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
                    sha256,
                )
            self._pending.clear()
        elif not self.has_changed:
            return
        self.has_changed = False
        self._writer.commit(
            videos=tuple(self._videos[name] for name in sorted(self._videos)),
            skipped=tuple(self._skipped[name] for name in sorted(self._skipped)),
            segments=segments,
            roots=dict(self._folders.roots),
            model=self._embedder.path,
            options=self._embedder.options,
        )
