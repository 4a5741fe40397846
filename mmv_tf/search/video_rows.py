# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes and embeds videos for an index, with one row per window."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.inference import reading
from mmv_tf.inference.network import BATCH
from mmv_tf.search.embedder import SOUND, VISION, Embedder
from mmv_tf.search.files import VideoFile
from mmv_tf.search.folders import Folders
from mmv_tf.search.frames import FrameSampler, FrameTable, joined
from mmv_tf.search.labels import WindowLabels
from mmv_tf.search.manifest import LABELS, Skipped
from mmv_tf.search.store import HEARD, SPANS
from mmv_tf.util.progress import Progress
from mmv_tf.util.worker_pool import CORRUPT, Failure, Runner, Task, WorkerPool

# Peak below which a window is silent: -80 dB, inaudible in 16 bits.
_SILENCE = 1e-4


@dataclasses.dataclass
class EmbeddedVideo:
    """A video that is completely or partly embedded.

    Attributes:
      file, info: the video's file and properties.
      starts: the windows' starts, in grid frames.
      blocks: rows of the finished blocks of windows, by number.
      count: number of blocks.
      tables: frames of the finished blocks, by number, if there are any.
    """

    file: VideoFile
    info: media.MediaInfo
    starts: list[int]
    blocks: dict[int, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    count: int = 0
    tables: dict[int, FrameTable] = dataclasses.field(default_factory=dict)

    @property
    def frames(self) -> FrameTable | None:
        """Frames of all windows, or None."""
        if not self.tables:
            return None
        return joined([self.tables[number] for number in range(self.count)])

    def rows(self) -> dict[str, np.ndarray]:
        """Return the rows of all windows by matrix name."""
        rows = {
            key: np.concatenate([self.blocks[number][key] for number in range(self.count)])
            for key in self.blocks[0]
        }
        # A window of a short video ends with the video.
        rows[SPANS][:, 1] = rows[SPANS][:, 1].clip(max=max(self.info.duration, 0.1))
        return rows


class VideoRows:
    """Embeds videos that child processes decode.

    Args:
      folders: the videos' folders.
      embedder: the model.
      processes: number of decoding processes; 0 decodes in this process.
      deadline_seconds: maximum seconds to decode a block of windows.
      labels: classifier for the windows, if there is one.
      sampler: chooses the frames to describe, if any.
    """

    def __init__(
        self,
        folders: Folders,
        embedder: Embedder,
        processes: int,
        deadline_seconds: float,
        labels: WindowLabels | None = None,
        sampler: FrameSampler | None = None,
    ):
        self._folders = folders
        self._embedder = embedder
        self._labels = labels
        self._sampler = sampler
        self._pool = WorkerPool(processes, deadline_seconds) if processes else None

    def close(self) -> None:
        """End the child processes."""
        if self._pool is not None:
            self._pool.close()

    def embed(self, files: Sequence[VideoFile]) -> Generator[EmbeddedVideo | Skipped, None, None]:
        """Yield each video once it is embedded, or the reason for skipping it."""
        runner: Runner = self._pool or _Here()
        videos: dict[str, EmbeddedVideo] = {}
        probes = [
            Task(reading.probe_videos, file.name, (), ((file, str(self._folders.path(file.name))),))
            for file in files
        ]
        with Progress(len(files), "scan", "videos") as progress:
            for file, result in runner.run(probes):
                progress.update()
                if isinstance(result, Failure):
                    yield self._skipped(file, result, progress)
                    continue
                info = media.MediaInfo.from_json(result)
                starts = self._embedder.windows.starts(info.duration)
                videos[file.name] = EmbeddedVideo(file, info, starts)
        total = sum(video.info.duration for video in videos.values())
        tasks = [self._task(videos[file.name]) for file in files if file.name in videos]
        failed: set[str] = set()
        with Progress(round(total), "index", "s of video") as progress:
            shown, embedded = 0.0, 0
            for (name, number), result in runner.run(tasks):
                video = videos[name]
                shown += video.info.duration / video.count
                progress.update(int(shown) - progress.done, windows=embedded)
                if name in failed:
                    continue  # Another block of it failed.
                if isinstance(result, Failure):
                    failed.add(name)
                    yield self._skipped(video.file, result, progress)
                    video.blocks.clear()
                    video.tables.clear()
                    continue
                video.blocks[number] = self._embed(result)
                if self._sampler is not None:
                    video.tables[number] = self._sampler.table(result.frames, result.starts)
                embedded += len(result.starts)
                if len(video.blocks) == video.count:
                    yield video
                    video.blocks.clear()
            progress.update(round(total) - progress.done)

    def _skipped(self, file: VideoFile, failure: Failure, progress: Progress) -> Skipped:
        reason = failure.reason.removeprefix(f"{self._folders.path(file.name)}: ")
        progress.write(f"skipped {file.name}: {reason}")
        return Skipped(file.name, file.size, file.mtime_ns, reason)

    def _task(self, video: EmbeddedVideo) -> Task:
        windows = self._embedder.windows
        starts, name = video.starts, video.file.name
        blocks = [tuple(starts[i : i + BATCH]) for i in range(0, len(starts), BATCH)]
        video.count = len(blocks)
        has_audio = video.info.has_audio and windows.sample_rate > 0
        return Task(
            reading.decode_blocks,
            name,
            (
                str(self._folders.path(name)),
                windows,
                has_audio,
                1 if self._sampler is None else self._sampler.finer,
            ),
            tuple(((name, number), block) for number, block in enumerate(blocks)),
        )

    def _embed(self, block: reading.Block) -> dict[str, np.ndarray]:
        """Return the rows of a block's windows."""
        windows = self._embedder.windows
        vectors = {VISION: self._embedder.windows_of(block)}
        audio = block.sounds(windows)
        heard = np.zeros(len(block.starts), bool)
        if audio is not None:
            heard = np.abs(audio).max(axis=1) > _SILENCE
            vectors[SOUND] = self._embedder.sounds(audio)
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
        if self._labels is not None:
            rows[LABELS] = self._labels.scores(block.clips(windows), audio, heard)
        return rows


class _Here:
    """Runs tasks in this process."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Any, Any | Failure]]:
        """Run tasks; see `Runner.run`."""
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
