# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Brings an index up to date with a folder of videos."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.inference import reading
from mmv_tf.inference.network import BATCH
from mmv_tf.search import approximate, store
from mmv_tf.search.embedder import SOUND, VISION, Embedder
from mmv_tf.search.files import VideoFile, find_videos, inside
from mmv_tf.search.store import HEARD, SPANS, Index, Manifest, Skipped, Video, Writer
from mmv_tf.util import files as files_lib
from mmv_tf.util import locks
from mmv_tf.util.progress import Progress
from mmv_tf.util.worker_pool import CORRUPT, Failure, Runner, Task, WorkerPool

# Ours: exact search takes a tenth of a second at a million windows.
FAISS_ABOVE = 300_000
_MOST_SEGMENTS = 8
_DEAD_SHARE = 0.2
# The loudest sample of a window in which nothing is heard: -80 dB, below what 16 bits play audibly.
_SILENCE = 1e-4
# Of the rows, those outside of FAISS's files before they are made again.
_OUTSIDE_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Options:
    """How an index is made.

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
    """What an update did.

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
        with contextlib.closing(update):
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


@dataclasses.dataclass
class _Work:
    """A video that is being embedded."""

    file: VideoFile
    info: media.MediaInfo
    starts: list[int]
    done: dict[int, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    parts: int = 0


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
        self._pending: list[tuple[_Work, dict[str, np.ndarray]]] = []
        # Where the newest state was damaged, a whole one is written in any case.
        self._dirty = index.manifest.generation == 0 or bool(index.warnings)
        self._committed = time.monotonic()
        self._pool: WorkerPool | None = None

    def run(self, files: Sequence[VideoFile]) -> None:
        """Everything."""
        todo = self._compare(files)
        if todo:
            try:
                self._embed_all(todo)
            finally:
                self._commit()  # After Ctrl-C too: what is done is done.
        self._commit()
        self._improve()
        self.report.skipped.update({e.name: e.reason for e in self._skipped.values()})
        self.report.windows = self._writer.manifest.rows

    def close(self) -> None:
        """Ends the child processes."""
        if self._pool is not None:
            self._pool.close()

    # ---- What there is to do ---------------------------------------------------------------------

    def _compare(self, files: Sequence[VideoFile]) -> list[VideoFile]:
        """The files to embed; forgets those that are gone."""
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

    # ---- Embedding -------------------------------------------------------------------------------

    def _embed_all(self, files: Sequence[VideoFile]) -> None:
        runner = self._runner()
        failed: set[str] = set()
        for file in files:
            self._skipped.pop(file.name, None)
        works: dict[str, _Work] = {}
        probes = [
            Task(reading.probe_videos, file.name, (), ((file, str(self._root / file.name)),))
            for file in files
        ]
        with Progress(len(files), "look at", "videos") as progress:
            for file, result in runner.run(probes):
                progress.update()
                if isinstance(result, Failure):
                    self._skip(file, result, progress)
                    continue
                info = media.MediaInfo.from_json(result)
                works[file.name] = _Work(file, info, self._embedder.windows.starts(info.duration))
        total = sum(work.info.duration for work in works.values())
        tasks = [self._task(works[file.name]) for file in files if file.name in works]
        with Progress(round(total), "index", "s of video") as progress:
            shown, embedded = 0.0, 0
            for (name, part), result in runner.run(tasks):
                work = works[name]
                shown += work.info.duration / work.parts
                progress.update(int(shown) - progress.done, windows=embedded)
                if name in failed:
                    continue  # Another part of it failed.
                if isinstance(result, Failure):
                    failed.add(name)
                    self._skip(work.file, result, progress)
                    work.done.clear()
                    continue
                work.done[part] = self._embed(result)
                embedded += len(result.starts)
                if len(work.done) == work.parts:
                    self._finish(work)
            progress.update(round(total) - progress.done)

    def _task(self, work: _Work) -> Task:
        windows = self._embedder.windows
        starts = work.starts
        parts = [tuple(starts[i : i + BATCH]) for i in range(0, len(starts), BATCH)]
        work.parts = len(parts)
        has_audio = work.info.has_audio and windows.sample_rate > 0
        return Task(
            reading.decode_blocks,
            work.file.name,
            (str(self._root / work.file.name), windows, has_audio),
            tuple(((work.file.name, number), part) for number, part in enumerate(parts)),
        )

    def _embed(self, block: reading.Block) -> dict[str, np.ndarray]:
        """The rows of a block's windows."""
        windows = self._embedder.windows
        vectors = {VISION: self._embedder.clips(block.clips(windows))}
        sounds = block.sounds(windows)
        heard = np.zeros(len(block.starts), bool)
        if sounds is not None:
            heard = np.abs(sounds).max(axis=1) > _SILENCE
            vectors[SOUND] = self._embedder.sounds(sounds)
            for value in vectors[SOUND].values():
                value[~heard] = 0
        count = len(block.starts)
        rows = {}
        for name, dim in self._embedder.matrices.items():
            modality, _, space = name.partition(".")
            found = vectors.get(modality)
            rows[name] = np.zeros([count, dim], np.float32) if found is None else found[space]
        starts = np.array(block.starts) / windows.frame_rate
        rows[SPANS] = np.stack([starts, starts + windows.seconds], axis=1).astype(np.float32)
        rows[HEARD] = heard
        return rows

    def _finish(self, work: _Work) -> None:
        """Takes a video whose windows are all embedded."""
        name = work.file.name
        rows = {
            key: np.concatenate([work.done[part][key] for part in range(work.parts)])
            for key in work.done[0]
        }
        work.done.clear()
        # A window of a short video does not go on after its end.
        rows[SPANS][:, 1] = rows[SPANS][:, 1].clip(max=max(work.info.duration, 0.1))
        try:
            status = inside(self._root, name).stat()
            unchanged = (status.st_size, status.st_mtime_ns) == work.file.version
        except (OSError, ValueError):
            unchanged = False
        if not unchanged:
            self.report.notes.append(f"{name} changed while it was read; run the command again.")
            return
        self._pending.append((work, rows))
        self._skipped.pop(name, None)
        (self.report.changed if name in self._videos else self.report.added).append(name)
        self.report.seconds += work.info.duration
        if time.monotonic() - self._committed >= self._options.commit_seconds:
            self._commit()

    def _skip(self, file: VideoFile, failure: Failure, progress: Progress) -> None:
        reason = failure.reason.removeprefix(f"{self._root / file.name}: ")
        self._skipped[file.name] = Skipped(file.name, file.size, file.mtime_ns, reason)
        if self._videos.pop(file.name, None) is not None:
            self.report.notes.append(f"{file.name} was in the index and can't be read any more.")
        self._dirty = True
        progress.write(f"skipped {file.name}: {reason}")

    def _runner(self) -> Runner:
        if self._options.processes == 0:
            return _Here()
        self._pool = WorkerPool(self._options.processes, self._options.deadline_seconds)
        return self._pool

    # ---- Writing ---------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Makes what is done part of the index."""
        self._committed = time.monotonic()
        segments = dict(self._writer.manifest.segments)
        if self._pending:
            pieces = [rows for _, rows in self._pending]
            arrays = {key: np.concatenate([rows[key] for rows in pieces]) for key in pieces[0]}
            name, files = self._writer.add_segment(arrays)
            segments[name] = files
            first = 0
            for work, rows in self._pending:
                count = len(rows[SPANS])
                self._videos[work.file.name] = Video(
                    work.file.name,
                    work.file.size,
                    work.file.mtime_ns,
                    work.info.duration,
                    work.info.has_audio,
                    name,
                    first,
                    count,
                    work.file.captions,
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

    def _improve(self) -> None:
        """Merges segments where there are many or much is dead, and makes FAISS's files."""
        manifest = self._writer.manifest
        if not manifest.videos:
            return
        index = store.open_index(self._writer.directory)
        rows, stored = manifest.rows, sum(segment.rows for segment in index.segments.values())
        above = self._options.faiss_above
        large = above is not None and rows >= above
        if large and not approximate.available():
            large = False
            self.report.notes.append(
                f'{rows} windows are searched faster by FAISS: pip install "mmv_tf[search]".'
            )
        outside = sum(
            segment.rows
            for name, segment in index.segments.items()
            if not any(file.endswith(".faiss") for file in manifest.segments[name])
        )
        needed = (
            len(index.segments) > _MOST_SEGMENTS
            or stored - rows > _DEAD_SHARE * stored
            or (large and outside > _OUTSIDE_SHARE * stored)
        )
        if not needed:
            return
        name = f"{manifest.generation + 1:08d}-{os.urandom(4).hex()}"
        folder = self._writer.directory / "segments" / name
        with files_lib.replacing(folder) as temporary:
            moved = store.merged(index, manifest.videos, temporary)
            if large:
                self._build_faiss(store.Segment(temporary, manifest.matrices))
        videos = tuple(dataclasses.replace(video, segment=name) for video in moved)
        self._writer.commit(videos=videos, segments={**manifest.segments, name: store.sums(folder)})

    def _build_faiss(self, segment: store.Segment) -> None:
        heard = np.asarray(segment.array(HEARD))
        for name in self._embedder.matrices:
            modality, _, space = name.partition(".")
            other = f"{VISION if modality == SOUND else SOUND}.{space}"
            queries = None
            if other in self._embedder.matrices and heard.any():
                # What is asked comes from another modality, and is no row of the matrix.
                rows = np.flatnonzero(heard)[:: max(1, int(heard.sum()) // 1000)]
                queries = segment.array(other)[rows]
            path = segment.directory / f"{name}.faiss"
            self.report.faiss[name] = approximate.build(segment.array(name), path, queries)


class _Here:
    """Runs tasks in this process."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """See `Runner.run`."""
        for task in tasks:
            rest = task
            while rest.parts:
                done = 0
                try:
                    results = rest.function(*rest.arguments, [value for _, value in rest.parts])
                    for result in results:
                        yield rest.parts[done][0], result
                        done += 1
                    break
                except media.MediaError as error:
                    yield rest.parts[done][0], Failure(CORRUPT, str(error))
                    rest = rest.from_part(done + 1)
