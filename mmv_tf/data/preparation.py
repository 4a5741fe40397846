# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""From videos with captions to a directory of shards: plan, decode by block, write, publish.

Decoding runs in child processes with a deadline each. What a child finished is a file in
`OUTPUT/.partial/FINGERPRINT/`; the fingerprint covers all that the shards depend on, so after an
interruption the same command goes on from there. Everything after decoding is deterministic and one
process's work: the shards are the same bytes however often the run was killed.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import io
import json
import math
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import IO, Any

import numpy as np
from PIL import Image

from mmv_tf import version
from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media, splits, writer
from mmv_tf.progress import Progress

CUTS = ("caption", "window")
VIDEO_SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".ts", ".webm")
PARTIAL = ".partial"
# Of a source. The first four still give clips.
OK, NO_AUDIO, SILENT, NO_CAPTIONS = "ok", "no audio", "silent", "no captions"
CORRUPT, TIMEOUT, TOO_SHORT = "corrupt", "timeout", "too short"

_SILENCE = 1e-4  # Ours: -80 dB of full scale.
_JPEG_BYTES_A_PIXEL = 0.6  # Ours: at quality 90; film has about 0.45.
_START_SECONDS = 120.0  # For a child process to come up.
_SHARD_NAME = re.compile(r".+-\d{5}-of-\d{5}\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides what is in the shards, besides the sources.

    Attributes:
      frame_rate: frames a second that are stored.
      short_side: pixels of a stored frame's shorter side.
      jpeg_quality: 1 to 95.
      sample_rate: of the stored sound, in Hz.
      cut: "caption" (a clip for each caption) or "window" (a clip every `stride_seconds`).
      context_seconds: cut by caption: what is added on each side, inside the block.
      min_clip_seconds: cut by caption: shorter clips are widened, inside the block.
      window_seconds, stride_seconds: cut by window: length of a clip, and from one to the next.
      block_seconds: about how long the blocks are that are dealt out to the splits.
      split_pattern: the splits, dealt out cyclically.
      caption_window_seconds: captions within this of a clip are stored with it.
      num_shards: of each split, fewer if it has fewer clips.
    """

    frame_rate: float = 10.0
    short_side: int = 256
    jpeg_quality: int = 90
    sample_rate: int = 48_000
    cut: str = "caption"
    context_seconds: float = 0.0
    min_clip_seconds: float = 3.2
    window_seconds: float = 3.2
    stride_seconds: float = 3.2
    block_seconds: float = 24.0
    split_pattern: tuple[str, ...] = ("train",)
    caption_window_seconds: float = 10.0
    num_shards: int = 4

    def __post_init__(self) -> None:
        for name in (
            *("frame_rate", "short_side", "sample_rate", "min_clip_seconds", "window_seconds"),
            *("stride_seconds", "block_seconds", "num_shards"),
        ):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}; it must be above 0.")
        for name in ("context_seconds", "caption_window_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; it must be in 1 to 95.")
        if self.cut not in CUTS:
            raise ValueError(f"cut is {self.cut!r}; use one of {', '.join(CUTS)}.")
        for name in self.split_pattern or ("",):
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise ValueError(
                    f"split_pattern is {','.join(self.split_pattern)!r}; expected names of "
                    "letters, digits and _ such as train,train,test."
                )


@dataclasses.dataclass(frozen=True)
class Source:
    """A video and the file with its captions, if it has one."""

    media_id: str
    path: pathlib.Path
    captions: pathlib.Path | None = None


@dataclasses.dataclass
class SourceReport:
    """What became of a source: one row of the report."""

    media_id: str
    path: str
    status: str = OK
    reason: str = ""
    seconds: float = 0.0
    clips: int = 0

    def fail(self, status: str, reason: str) -> None:
        """Notes what went wrong, keeping the first reason."""
        if not self.reason:
            self.status, self.reason = status, reason


def find_sources(
    videos: str | pathlib.Path, captions: str | pathlib.Path | None = None
) -> list[Source]:
    """The sources that a path stands for.

    Args:
      videos: a video file, or a folder: every video in it and below, each with the caption file of
        the same name but for the suffix.
      captions: of a single file; by default the one beside it with the same stem, if any.

    Returns:
      Sources sorted by media id, which is the path inside the folder without its suffix.

    Raises:
      ValueError: nothing is there, a media id is not unique, or `captions` came with a folder.
    """
    videos = pathlib.Path(videos)
    if videos.is_dir():
        if captions is not None:
            raise ValueError(
                f"{videos} is a folder, so captions can't be one file ({captions}); put each "
                "video's captions beside it under the same name."
            )
        paths = [p for p in videos.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
        if not paths:
            raise ValueError(
                f"{videos}: no video found; expected files ending in {', '.join(VIDEO_SUFFIXES)}."
            )
        sources = [
            Source(path.relative_to(videos).with_suffix("").as_posix(), path, _sidecar(path))
            for path in paths
        ]
    elif videos.is_file():
        beside = pathlib.Path(captions) if captions is not None else _sidecar(videos)
        sources = [Source(videos.stem, videos, beside)]
    else:
        raise ValueError(f"{videos}: no such file or folder; give a video or a folder of videos.")
    counts = collections.Counter(source.media_id for source in sources)
    for media_id, count in counts.items():
        if count > 1:
            raise ValueError(
                f"{videos}: {count} videos have the name {media_id!r} but for the suffix; rename "
                "one or move it away."
            )
    return sorted(sources, key=lambda source: source.media_id)


def _sidecar(video: pathlib.Path) -> pathlib.Path | None:
    """The caption file beside a video, by the order of `captions.SUFFIXES`."""
    besides = (video.with_suffix(suffix) for suffix in captions_lib.SUFFIXES)
    return next((beside for beside in besides if beside.is_file()), None)


def prepare(
    sources: Sequence[Source],
    output: str | pathlib.Path,
    settings: Settings,
    labels: str | pathlib.Path | None = None,
    processes: int = 1,
    deadline_seconds: float = 300.0,
    overwrite: bool = False,
) -> tuple[dict[str, Any], bool]:
    """Writes the shards and the manifest of a data set.

    A single source that can't be used is an error; of several, it is a row in the manifest's
    "sources", and only if nothing is left it is an error.

    Args:
      sources: of `find_sources`.
      output: directory to write to; made if it is not there.
      settings: what to make.
      labels: a list of captions with labels (see `captions.attach_labels`) for all sources.
      processes: how many decode at the same time.
      deadline_seconds: longest time that one block of a film may take.
      overwrite: replace data of other settings that `output` holds.

    Returns:
      The manifest, and whether the data was already there.

    Raises:
      ValueError: an input can't be used, or `output` holds something else.
      OSError: the disk is full or can't be written.
    """
    output = pathlib.Path(output)
    for source in sources:
        if not source.path.is_file():
            raise ValueError(f"{source.path}: no such file; expected a video; check the path.")
    fingerprint = _fingerprint(sources, settings, labels)
    done = _prepared(output, fingerprint, settings, overwrite)
    if done is not None:
        return done, True
    partial = output / PARTIAL
    partial.mkdir(parents=True, exist_ok=True)
    with _locked(partial), _no_space_explained(output):
        for stale in partial.iterdir():
            if stale.is_dir() and stale.name != fingerprint:
                shutil.rmtree(stale)
        work = partial / fingerprint
        work.mkdir(exist_ok=True)
        with _WorkerPool(processes, deadline_seconds) as pool:
            plan = _plan(sources, settings, labels, pool)
            _check_space(plan, settings, output, work)
            _decode(plan, settings, pool, work)
        manifest = _publish(plan, settings, output, work, fingerprint)
        shutil.rmtree(work)
    # Another run may hold the lock by now: then the folder is its own to remove.
    with contextlib.suppress(OSError):
        (partial / "lock").unlink()
        partial.rmdir()
    return manifest, False


def format_report(manifest: dict[str, Any]) -> str:
    """A table of the sources and the counts by split."""
    rows = [("source", "status", "seconds", "clips", "reason")]
    for row in manifest["sources"]:
        seconds = f"{row['seconds']:.1f}"
        rows.append((row["media_id"], row["status"], seconds, str(row["clips"]), row["reason"]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [
            *(cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)),
            *(cell.rjust(width) for cell, width in zip(row[2:4], widths[2:], strict=True)),
            row[4],
        ]
        lines.append("  ".join(cells).rstrip())
    for name, split in manifest["splits"].items():
        size = sum(shard["bytes"] for shard in split["shards"])
        lines.append(
            f"{name}: {split['num_examples']} clips, {split['num_captions']} captions, "
            f"{len(split['shards'])} shards, {size / 1e6:.1f} MB"
        )
    dropped = [f"{n} {name.replace('_', ' ')}" for name, n in manifest["dropped"].items() if n]
    if dropped:
        lines.append(f"dropped: {', '.join(dropped)}")
    return "\n".join(lines)


# ---- Planning: which clips there shall be --------------------------------------------------------


@dataclasses.dataclass
class _Planned:
    """A block of one source, its clips and captions. `block.index` counts over all sources."""

    source: Source
    report: SourceReport
    info: media.MediaInfo
    block: splits.Block
    clips: list[writer.ClipSpan]
    captions: list[captions_lib.Caption]

    @property
    def seconds(self) -> float:
        """How much of the film is decoded."""
        return (max(c.end_ms for c in self.clips) - min(c.start_ms for c in self.clips)) / 1000

    def path(self, work: pathlib.Path) -> pathlib.Path:
        """The file for what is decoded of it."""
        return work / f"{self.block.index:06d}.block"


@dataclasses.dataclass
class _Plan:
    """All blocks of all sources."""

    reports: list[SourceReport]
    blocks: list[_Planned]
    dropped: collections.Counter[str]


def _plan(
    sources: Sequence[Source],
    settings: Settings,
    labels: str | pathlib.Path | None,
    pool: _WorkerPool,
) -> _Plan:
    """Looks at every source and lays out its blocks and clips."""
    labelled = captions_lib.read_captions(labels) if labels is not None else None
    reports = [SourceReport(source.media_id, str(source.path)) for source in sources]
    infos: dict[int, media.MediaInfo] = {}
    tasks = [(i, ("probe", str(source.path))) for i, source in enumerate(sources)]
    with Progress(len(tasks), "looking at the videos", "videos") as shown:
        for index, outcome in pool.run(tasks):
            shown.update()
            if isinstance(outcome, _Failure):
                reports[index].fail(outcome.status, outcome.reason)
            else:
                infos[index] = outcome
    plan = _Plan(reports, [], collections.Counter())
    count = 0
    for index, (source, report) in enumerate(zip(sources, reports, strict=True)):
        if index not in infos:
            _stop_if_only(sources, report)
            continue
        info = infos[index]
        report.seconds = round(info.duration, 3)
        captions: list[captions_lib.Caption] = []
        try:
            if source.captions is not None:
                captions = captions_lib.read_captions(source.captions)
                if labelled is not None:
                    captions = captions_lib.attach_labels(captions, labelled)
        except ValueError as error:
            report.fail(NO_CAPTIONS, str(error))
            _stop_if_only(sources, report)
            continue
        if not captions and settings.cut == "caption":
            report.fail(NO_CAPTIONS, "there are no captions to cut by; give some or cut by window")
            _stop_if_only(sources, report)
            continue
        blocks = _plan_source(source, report, info, captions, settings, count, plan)
        count += blocks
        if not report.clips:
            report.fail(TOO_SHORT, f"{source.path}: no clip fits; it has {info.duration:.2f} s")
            _stop_if_only(sources, report)
        elif not info.has_audio:
            report.fail(NO_AUDIO, "there is no sound stream")
        elif not captions:
            report.fail(NO_CAPTIONS, "there is no caption file")
    if not plan.blocks:
        raise ValueError(
            f"None of the {len(sources)} videos gives a clip; the first: {reports[0].path}: "
            f"{reports[0].status} ({reports[0].reason})."
        )
    return plan


def _stop_if_only(sources: Sequence[Source], report: SourceReport) -> None:
    """A lone film that fails is what the user has to hear about."""
    if len(sources) == 1:
        raise ValueError(report.reason)


def _plan_source(
    source: Source,
    report: SourceReport,
    info: media.MediaInfo,
    captions: list[captions_lib.Caption],
    settings: Settings,
    first: int,
    plan: _Plan,
) -> int:
    """Adds a source's blocks to the plan; returns how many there are, with or without clips."""
    if info.duration < 0.001:
        return 0
    film_end = math.floor(info.duration * 1000) / 1000
    inside = [
        dataclasses.replace(caption, end=min(caption.end, film_end))
        for caption in captions
        if caption.start < film_end
    ]
    plan.dropped["captions_past_the_end"] += len(captions) - len(inside)
    blocks = splits.time_blocks(
        info.duration, settings.block_seconds, settings.split_pattern, inside, first
    )
    held = 0
    for block in blocks:
        own = splits.held_captions(block, inside)
        held += len(own)
        spans = _caption_spans(block, own, settings, plan.dropped)
        if settings.cut == "window":
            spans = _window_spans(block, own, settings)
        clips = [
            writer.ClipSpan(source.media_id, start, end, first + block.index, block.split, label)
            for start, end, label in spans
        ]
        if clips:
            numbered = dataclasses.replace(block, index=first + block.index)
            plan.blocks.append(_Planned(source, report, info, numbered, clips, own))
        report.clips += len(clips)
    plan.dropped["captions_across_borders"] += len(inside) - held
    return len(blocks)


def _caption_spans(
    block: splits.Block,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dropped: collections.Counter[str],
) -> list[tuple[int, int, str | None]]:
    """(start, end, label) in milliseconds of a clip for each caption of a block."""
    low, high = round(block.start * 1000), round(block.end * 1000)
    context, shortest = round(settings.context_seconds * 1000), settings.min_clip_seconds * 1000
    spans: dict[tuple[int, int], str | None] = {}
    for caption in captions:
        start = max(low, round(caption.start * 1000) - context)
        end = min(high, round(caption.end * 1000) + context)
        lacking = math.ceil(shortest) - (end - start)
        if lacking > 0:
            # As even as the block's borders allow.
            start = max(low, start - lacking // 2)
            end = min(high, start + math.ceil(shortest))
            start = max(low, end - math.ceil(shortest))
        if end - start < shortest:
            dropped["clips_too_short"] += 1
        elif (start, end) in spans:
            dropped["clips_of_equal_span"] += 1
        else:
            spans[start, end] = caption.label
    return [(start, end, label) for (start, end), label in spans.items()]


def _window_spans(
    block: splits.Block, captions: Sequence[captions_lib.Caption], settings: Settings
) -> list[tuple[int, int, str | None]]:
    """(start, end, label) in milliseconds of the windows in a block.

    A window's label is that of the caption which covers most of it, if that is at least half.
    """
    low, high = round(block.start * 1000), round(block.end * 1000)
    length, stride = settings.window_seconds * 1000, settings.stride_seconds * 1000
    spans = []
    for index in range(max(0, math.floor((high - low - length) / stride + 1 + 1e-9))):
        start = low + round(index * stride)
        end = start + round(length)
        shares = [
            (min(end, caption.end * 1000) - max(start, caption.start * 1000), caption.label)
            for caption in captions
        ]
        share, label = max(shares, key=lambda pair: pair[0], default=(0.0, None))
        spans.append((start, end, label if share >= length / 2 else None))
    return spans


def _check_space(plan: _Plan, settings: Settings, output: pathlib.Path, work: pathlib.Path) -> None:
    """Stops before the work if the disk can't hold its result."""
    need = 0.0
    for planned in plan.blocks:
        aspect = max(planned.info.width, planned.info.height) / min(
            planned.info.width, planned.info.height
        )
        frame = settings.short_side**2 * aspect * _JPEG_BYTES_A_PIXEL
        second = settings.frame_rate * frame
        second += 4 * settings.sample_rate if planned.info.has_audio else 0
        # Once in the work folder (unless it is there already), once in the shards.
        if not planned.path(work).exists():
            need += second * planned.seconds
        need += second * sum(clip.end_ms - clip.start_ms for clip in planned.clips) / 1000
    free = shutil.disk_usage(output).free
    if free < need:
        raise ValueError(
            f"{output}: about {need / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free; free "
            "some, or choose another --output, a lower --frame_rate or a smaller --short_side."
        )


# ---- Decoding, in child processes ----------------------------------------------------------------


def _decode(plan: _Plan, settings: Settings, pool: _WorkerPool, work: pathlib.Path) -> None:
    """Decodes the blocks that are not there yet and notes in the reports what failed."""
    peaks: dict[int, float] = collections.defaultdict(float)
    failed: dict[int, list[_Failure]] = collections.defaultdict(list)
    for stray in work.glob("*.tmp"):
        stray.unlink()
    todo: list[_Planned] = []
    for planned in plan.blocks:
        header = _read_block_header(planned.path(work))
        if header is None:
            todo.append(planned)
        else:
            peak = header["peak"]
            peaks[id(planned.report)] = max(peaks[id(planned.report)], peak)
    total = sum(round(planned.seconds) for planned in plan.blocks)
    before = total - sum(round(planned.seconds) for planned in todo)
    tasks = [
        (
            planned,
            (
                "block",
                str(planned.source.path),
                str(planned.path(work)),
                [(clip.start_ms, clip.end_ms) for clip in planned.clips],
                planned.info.has_audio,
                settings,
            ),
        )
        for planned in todo
    ]
    with Progress(total, "decoding", "seconds of film", initial=before) as shown:
        for planned, outcome in pool.run(tasks):
            shown.update(round(planned.seconds))
            key = id(planned.report)
            if isinstance(outcome, _Failure):
                if len(plan.reports) == 1:
                    raise ValueError(outcome.reason)
                failed[key].append(outcome)
                plan.dropped["clips_not_decoded"] += len(planned.clips)
                planned.report.clips -= len(planned.clips)
                plan.blocks.remove(planned)
            else:
                peaks[key] = max(peaks[key], outcome)
    for report in plan.reports:
        failures = failed.get(id(report), [])
        if failures:
            report.status = failures[0].status
            report.reason = f"{len(failures)} blocks lost, first: {failures[0].reason}"
        elif report.status == OK and peaks[id(report)] < _SILENCE:
            report.fail(SILENT, "the sound stream holds only silence")
    if not plan.blocks:
        raise ValueError(
            f"None of the {len(plan.reports)} videos could be decoded; the first: "
            f"{plan.reports[0].reason}."
        )


def _decode_block(
    path: str, target: str, clips: list[tuple[int, int]], has_audio: bool, settings: Settings
) -> float:
    """Decodes the clips (start and end in ms) of one block into a block file.

    The file holds a frame once even if several clips use it: 8 bytes with the length of the header,
    the header (JSON), the JPEGs, the waveform of the whole span (float32).

    Returns:
      The loudest sample's magnitude.
    """
    grids = [media.frame_times(a / 1000, b / 1000, settings.frame_rate) for a, b in clips]
    times = sorted({time for grid in grids for time in grid})
    number: dict[float, int] = {}
    jpegs: list[bytes] = []
    frames = media.iter_frames_at(path, times, settings.short_side, settings.jpeg_quality)
    for time_seconds, jpeg in frames:
        if not jpegs or jpeg is not jpegs[-1]:
            jpegs.append(jpeg)
        number[time_seconds] = len(jpegs) - 1
    with Image.open(io.BytesIO(jpegs[0])) as image:
        width, height = image.size
    waveform = np.zeros(0, np.float32)
    low = min(start for start, _ in clips)
    if has_audio:
        high = max(end for _, end in clips)
        waveform = media.read_waveform(path, low / 1000, high / 1000, settings.sample_rate)
    samples = [
        (
            round((start - low) * settings.sample_rate / 1000),
            round((end - start) * settings.sample_rate / 1000),
        )
        for start, end in clips
    ]
    peak = float(np.abs(waveform).max(initial=0.0))
    header = {
        "height": height,
        "width": width,
        "peak": peak,
        "offsets": np.cumsum([0, *map(len, jpegs)]).tolist(),
        "frames": [[number[time] for time in grid] for grid in grids],
        "samples": samples if has_audio else None,
        "bytes": sum(map(len, jpegs)) + waveform.nbytes,
    }
    content = json.dumps(header).encode()
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(len(content).to_bytes(8, "little") + content)
            for jpeg in jpegs:
                file.write(jpeg)
            file.write(waveform.tobytes())
        os.replace(temporary, target)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    return peak


def _read_block_header(path: pathlib.Path) -> dict[str, Any] | None:
    """A block file's header with "payload", where the rest begins; None if it is not whole."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < 1 << 30 else None
        if header is None or path.stat().st_size != 8 + length + header["bytes"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return {**header, "payload": 8 + length}


def _read_clip(path: pathlib.Path, index: int) -> writer.ClipMedia:
    """One clip out of a block file, reading only its part."""
    header = _read_block_header(path)
    if header is None:
        raise ValueError(f"{path}: is no longer whole; run the same command again.")
    numbers, offsets = header["frames"][index], header["offsets"]
    base = offsets[numbers[0]]
    waveform = None
    with open(path, "rb") as file:
        file.seek(header["payload"] + base)
        data = file.read(offsets[numbers[-1] + 1] - base)
        if header["samples"] is not None:
            first, count = header["samples"][index]
            file.seek(header["payload"] + offsets[-1] + 4 * first)
            waveform = np.frombuffer(file.read(4 * count), np.float32)
            # Rounding of both ends can ask for one sample more than the span has.
            waveform = np.pad(waveform, (0, count - len(waveform)))
    frames = [data[offsets[n] - base : offsets[n + 1] - base] for n in numbers]
    return writer.ClipMedia(frames, header["height"], header["width"], waveform)


@dataclasses.dataclass(frozen=True)
class _Failure:
    """Why a task gave nothing."""

    status: str
    reason: str


def _work(kind: str, *arguments: Any) -> Any:
    """A child's task."""
    return media.probe(*arguments) if kind == "probe" else _decode_block(*arguments)


def _serve(
    connection: multiprocessing.connection.Connection, work: Callable[..., Any] = _work
) -> None:
    """A child process: does one task after the other until its parent is gone."""
    connection.send(None)
    while True:
        try:
            arguments = connection.recv()
        except (EOFError, OSError):
            return
        result: Any
        try:
            result = work(*arguments)
        except media.MediaError as error:
            result = _Failure(CORRUPT, str(error))
        except OSError as error:
            result = error  # The disk's, not the film's: it stops the run.
        except Exception as error:
            # FFmpeg's bindings raise all sorts of things on strange files.
            result = _Failure(CORRUPT, f"{arguments[1]}: decoding raised {error!r}; check the file")
        try:
            connection.send(result)
        except (BrokenPipeError, ConnectionResetError):
            return


class _Worker:
    """A child process and what it is doing."""

    def __init__(self, work: Callable[..., Any]):
        # Spawned, not forked: TensorFlow's and FFmpeg's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        # Ctrl-C goes to the whole group. The child inherits the blocked signal, so that it does not
        # print a traceback of its own; the parent ends its children itself. The tracker comes first
        # since starting it unblocks the signal.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.ready = False
        self.task: tuple[Any, tuple[Any, ...]] | None = None
        self.until = time.monotonic() + _START_SECONDS

    def give(self, task: tuple[Any, tuple[Any, ...]], deadline_seconds: float) -> None:
        self.task = task
        self.until = time.monotonic() + deadline_seconds
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # Noticed when reading.
            self.connection.send(task[1])

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class _WorkerPool:
    """Child processes that each do one task at a time, every task with a deadline.

    A child that hangs is killed and one that crashes is replaced; either costs only its task.
    """

    def __init__(self, processes: int, deadline_seconds: float, work: Callable[..., Any] = _work):
        if processes < 1 or not deadline_seconds > 0:
            raise ValueError(
                f"There are {processes} processes with a deadline of {deadline_seconds} s; both "
                "must be above 0."
            )
        self._processes = processes
        self._deadline_seconds = deadline_seconds
        self._work = work
        self._workers: list[_Worker] = []

    def __enter__(self) -> _WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(
        self, tasks: Iterable[tuple[Any, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any | _Failure]]:
        """Does `tasks`, (key, arguments) each; yields (key, result or `_Failure`) as they end.

        Raises:
          OSError: a child could not read or write a file, for example on a full disk.
          RuntimeError: a child does not start.
        """
        waiting = collections.deque(tasks)
        while True:
            while len(self._workers) < min(self._processes, len(waiting)):
                self._workers.append(_Worker(self._work))
            for worker in self._workers:
                if worker.ready and worker.task is None and waiting:
                    worker.give(waiting.popleft(), self._deadline_seconds)
            active = [
                worker
                for worker in self._workers
                if worker.task is not None or (waiting and not worker.ready)
            ]
            if not active:
                return
            timeout = max(0.0, min(worker.until for worker in active) - time.monotonic())
            heard = multiprocessing.connection.wait(
                [worker.connection for worker in active], timeout
            )
            now = time.monotonic()
            for worker in active:
                if worker.connection not in heard and now < worker.until:
                    continue
                task = worker.task
                result = self._hear(worker, worker.connection in heard)
                if task is not None:
                    yield task[0], result

    def _hear(self, worker: _Worker, heard: bool) -> Any:
        """What came of a worker's task; a worker that hung or died is removed."""
        if heard:
            try:
                result = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                code = worker.process.exitcode or 0
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
                result = _Failure(CORRUPT, f"the decoder crashed ({how})")
            else:
                if isinstance(result, OSError):
                    raise result
                worker.task, worker.ready = None, True
                return result
        else:
            result = _Failure(
                TIMEOUT,
                f"the decoder did not finish a block in {self._deadline_seconds:g} s; raise "
                "--deadline_seconds or check the file",
            )
        worker.end()
        self._workers.remove(worker)
        if worker.task is None:
            raise RuntimeError(f"A decoding process did not start: {result.reason}.")
        reason = f"{worker.task[1][1]}: {result.reason}"
        return dataclasses.replace(result, reason=reason)


# ---- Writing -------------------------------------------------------------------------------------


def _publish(
    plan: _Plan, settings: Settings, output: pathlib.Path, work: pathlib.Path, fingerprint: str
) -> dict[str, Any]:
    """Writes the shards in the work folder, moves them out when all are whole; the manifest."""
    blocks = {planned.block.index: planned for planned in plan.blocks}
    clips = [clip for planned in plan.blocks for clip in planned.clips]
    labels = writer.class_ids(clip.label for clip in clips)
    place = {clip: index for planned in plan.blocks for index, clip in enumerate(planned.clips)}

    def example(clip: writer.ClipSpan) -> Any:
        planned = blocks[clip.block]
        near = writer.captions_around(clip, planned.captions, settings.caption_window_seconds)
        return writer.sequence_example(
            clip,
            _read_clip(planned.path(work), place[clip]),
            near,
            labels,
            settings.frame_rate,
            settings.sample_rate,
        )

    staging = work / "shards"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    by_split: dict[str, Any] = {}
    with Progress(len(clips), "writing", "clips") as shown:
        for split in dict.fromkeys(settings.split_pattern):
            own = [clip for clip in clips if clip.split == split]
            shards = writer.assign_shards(own, settings.num_shards)
            held = [p.captions for p in plan.blocks if p.block.split == split]
            by_split[split] = {
                "num_examples": len(own),
                "num_captions": sum(map(len, held)),
                "shards": writer.write_shards(staging, split, shards, example, shown.update),
            }
    # From here to the new manifest the directory has none, so no reader takes a mixture for whole.
    (output / writer.MANIFEST).unlink(missing_ok=True)
    for old in output.iterdir():
        if _SHARD_NAME.fullmatch(old.name):
            old.unlink()
    for shard in sorted(staging.iterdir()):
        os.replace(shard, output / shard.name)
    manifest = {
        "fingerprint": fingerprint,
        "frame_rate": settings.frame_rate,
        "sample_rate": settings.sample_rate,
        "short_side": settings.short_side,
        "jpeg_quality": settings.jpeg_quality,
        "labels": list(labels),
        "splits": by_split,
        "sources": [dataclasses.asdict(report) for report in plan.reports],
        "blocks": [
            {"media_id": p.source.media_id, **dataclasses.asdict(p.block)} for p in plan.blocks
        ],
        "dropped": {name: plan.dropped[name] for name in sorted(plan.dropped)},
        "settings": dataclasses.asdict(settings),
    }
    writer.write_manifest(output, manifest)
    return writer.read_manifest(output)


def _fingerprint(
    sources: Sequence[Source], settings: Settings, labels: str | pathlib.Path | None
) -> str:
    """A hash of all that the shards depend on; videos count by size and time of change."""
    content: list[Any] = [
        version.__version__,
        writer.FORMAT_VERSION,
        dataclasses.asdict(settings),
        _content_sha256(labels),
    ]
    for source in sources:
        stat = source.path.stat()
        content.append(
            [
                source.media_id,
                str(source.path.resolve()),
                stat.st_size,
                stat.st_mtime_ns,
                _content_sha256(source.captions),
            ]
        )
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _content_sha256(path: str | pathlib.Path | None) -> str | None:
    """Of a caption file; a missing one is complained of where it is read."""
    if path is None or not pathlib.Path(path).is_file():
        return None
    return writer.file_sha256(pathlib.Path(path))


def _prepared(
    output: pathlib.Path, fingerprint: str, settings: Settings, overwrite: bool
) -> dict[str, Any] | None:
    """The manifest if the very data is there already; None if there is work to do.

    Raises:
      ValueError: something else is there and may not be overwritten.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output}: is a file; expected a folder to write to; choose another.")
    if not (output / writer.MANIFEST).exists():
        shards = output.is_dir() and any(_SHARD_NAME.fullmatch(p.name) for p in output.iterdir())
        if shards and not (output / PARTIAL).exists() and not overwrite:
            raise ValueError(
                f"{output}: holds shards without a manifest, which this run would replace; choose "
                "another --output, or pass --overwrite."
            )
        return None
    try:
        manifest = writer.read_manifest(output)
    except ValueError:
        if overwrite:
            return None
        raise
    if manifest.get("fingerprint") == fingerprint:
        try:
            writer.check_shards(output, manifest)
        except ValueError:
            return None  # Lost or cut-off shards: made again.
        return manifest
    if overwrite:
        return None
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    differing = [
        f"{name} {manifest['settings'].get(name)} instead of {value}"
        for name, value in now.items()
        if manifest["settings"].get(name) != value
    ]
    raise ValueError(
        f"{output}: holds data of {', '.join(differing) or 'other videos, captions or versions'}; "
        "choose another --output, or pass --overwrite to replace it."
    )


@contextlib.contextmanager
def _locked(partial: pathlib.Path) -> Iterator[IO[str]]:
    """Keeps a second run out of the same folder; the lock ends with the process."""
    with open(partial / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{partial.parent}: another prepare_data is writing there; wait for it to end."
            ) from None
        yield file


@contextlib.contextmanager
def _no_space_explained(output: pathlib.Path) -> Iterator[None]:
    """Turns a full disk, as Python and as TensorFlow tell it, into one clear error."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error):
            raise ValueError(
                f"{output}: the disk is full; free some space and run the same command again, it "
                "goes on from where it stopped."
            ) from error
        raise
