# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which clips there shall be: every source is looked at, divided among the splits and cut."""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media, splits, writer
from mmv_tf.data.preparation import cutting
from mmv_tf.data.preparation.report import SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, TFDS, VIDEO, Source
from mmv_tf.data.preparation.tasks import (
    MISSING,
    NO_AUDIO,
    NO_CAPTIONS,
    OK,
    TOO_LONG,
    TOO_SHORT,
    Failure,
    Runner,
    Task,
)
from mmv_tf.progress import Progress

JPEG_BYTES_A_PIXEL = 0.6  # Ours: at quality 90; film has about 0.45.
# Ours. A record is in memory a few times while it is made, and a worker shall stay below 1 GiB.
MAX_RECORD_BYTES = 64 << 20
# Ours: what is decoded at a time and held in memory, unless one clip alone is longer.
_UNIT_SECONDS = 30.0
_PROBES_A_TASK = 16


@dataclasses.dataclass(frozen=True)
class PlannedClip:
    """A clip, the captions stored with it and those of them that are about it alone."""

    span: writer.ClipSpan
    near: tuple[captions_lib.Caption, ...]
    own: tuple[captions_lib.Caption, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """Clips of one source that lie close together: what is decoded into one file.

    Attributes:
      index: among all units.
      source, info: where they come from.
      row: the source's row in the report.
      clips: by start.
    """

    index: int
    source: Source
    info: media.MediaInfo
    row: int
    clips: tuple[PlannedClip, ...]

    @property
    def seconds(self) -> float:
        """How much of the film is decoded; a picture counts as a second."""
        clips = [clip.span for clip in self.clips]
        span = max(c.end_ms for c in clips) - min(c.start_ms for c in clips)
        return span / 1000 or float(len(clips))

    def path(self, work: pathlib.Path) -> pathlib.Path:
        """The file for what is decoded of it."""
        return work / "blocks" / f"{self.index // 1000:05d}" / f"{self.index:08d}.block"


@dataclasses.dataclass
class Plan:
    """All that there is to decode.

    Attributes:
      reports: a row for each source.
      units: in order of the sources and of time.
      blocks: the pieces of the films that were dealt out to splits, for the manifest.
      captions: how many captions each split holds.
      labels: class ids by name.
      dropped: what was left out, by reason.
    """

    reports: list[SourceReport]
    units: list[Unit]
    blocks: list[dict[str, Any]]
    captions: collections.Counter[str]
    labels: dict[str, int]
    dropped: collections.Counter[str]


def plan_clips(
    sources: Sequence[Source],
    settings: Settings,
    labels_file: str | pathlib.Path | None,
    class_names: Sequence[str] | None,
    runner: Runner,
) -> Plan:
    """Looks at every source and lays out its clips.

    Args:
      sources: what to cut.
      settings: how.
      labels_file: a list of captions with labels for all sources.
      class_names: the classes in the data set's own order; None sorts them.
      runner: what looks into the files.

    Raises:
      ValueError: nothing can be used, or the only source can't.
    """
    labelled = captions_lib.read_captions(labels_file) if labels_file is not None else None
    reports = [SourceReport(source.media_id, str(source.path)) for source in sources]
    infos = _probe_all(sources, reports, runner)
    plan = Plan(reports, [], [], collections.Counter(), {}, collections.Counter())
    dealer = _Dealer(settings.split_pattern)
    for row, (source, report) in enumerate(zip(sources, reports, strict=True)):
        if row not in infos:
            _stop_if_only(sources, report)
            continue
        report.seconds = round(infos[row].duration, 3)
        try:
            captions = _read_captions(source, labelled)
        except ValueError as error:
            report.fail(NO_CAPTIONS, str(error))
            _stop_if_only(sources, report)
            continue
        if not captions and settings.cut == "caption":
            report.fail(
                NO_CAPTIONS,
                f"{source.path}: no captions to cut by; put a .vtt, .srt or .json3 of its name "
                "beside it, or cut by window (--cut=window)",
            )
            _stop_if_only(sources, report)
            continue
        _plan_source(_Looked(source, row, infos[row]), captions, settings, dealer, plan)
        if not report.clips:
            if report.status == OK:
                report.fail(
                    TOO_SHORT, f"{source.path}: no clip fits; it has {infos[row].duration:.2f} s"
                )
            _stop_if_only(sources, report)
        elif source.kind == VIDEO and not infos[row].has_audio and settings.sound != "none":
            report.fail(NO_AUDIO, "there is no sound stream")
        elif not captions and settings.cut != "list":
            report.fail(NO_CAPTIONS, "there is no caption file")
    if not plan.units:
        raise ValueError(
            f"None of the {len(sources)} sources gives a clip; the first: {reports[0].path}: "
            f"{reports[0].status} ({reports[0].reason})."
        )
    plan.labels = _class_ids(plan, class_names)
    _check_ids(plan)
    return plan


# ---- Looking -------------------------------------------------------------------------------------


def _probe_all(
    sources: Sequence[Source], reports: Sequence[SourceReport], runner: Runner
) -> dict[int, media.MediaInfo]:
    """What the files hold, by row; what could not be looked at is noted in its report."""
    infos: dict[int, media.MediaInfo] = {}
    parts = []
    for row, source in enumerate(sources):
        if source.kind == TFDS:
            infos[row] = media.MediaInfo(0.0, 0, 0, 0.0, False, 0)
        elif not source.path.exists():
            reports[row].fail(MISSING, f"{source.path}: no such file; check the path")
        else:
            parts.append((row, (str(source.path), source.kind)))
    groups = [parts[i : i + _PROBES_A_TASK] for i in range(0, len(parts), _PROBES_A_TASK)]
    tasks = [Task(_probe, str(group[0][1][0]), (), tuple(group)) for group in groups]
    with Progress(len(parts), "looking at the sources", "files") as shown:
        for row, outcome in runner.run(tasks):
            shown.update()
            if isinstance(outcome, Failure):
                reports[row].fail(outcome.status, outcome.reason)
            else:
                infos[row] = media.MediaInfo(**outcome)
    return infos


def _probe(values: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """A child's task: what files hold."""
    for path, kind in values:
        yield dataclasses.asdict(media.probe(path, kind))


def _read_captions(
    source: Source, labelled: Sequence[captions_lib.Caption] | None
) -> list[captions_lib.Caption]:
    """A source's captions by start, labelled if there is a list of labels."""
    captions = sorted(source.narrations, key=lambda caption: (caption.start, caption.end))
    if source.captions is not None:
        captions = captions_lib.read_captions(source.captions)
        if labelled is not None:
            captions = captions_lib.attach_labels(captions, labelled)
    return captions


def _stop_if_only(sources: Sequence[Source], report: SourceReport) -> None:
    """A lone film that fails is what the user has to hear about."""
    if len(sources) == 1:
        raise ValueError(report.reason)


# ---- Dividing and cutting ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Looked:
    """A source that was looked at."""

    source: Source
    row: int
    info: media.MediaInfo


@dataclasses.dataclass
class _Dealer:
    """Deals the splits of a pattern out, in turn, to blocks of films or to whole sources."""

    pattern: tuple[str, ...]
    dealt: int = 0

    def next(self) -> str:
        """The split of the next whole source."""
        self.dealt += 1
        return self.pattern[(self.dealt - 1) % len(self.pattern)]


def _plan_source(
    looked: _Looked,
    captions: list[captions_lib.Caption],
    settings: Settings,
    dealer: _Dealer,
    plan: Plan,
) -> None:
    """Adds a source's clips to the plan."""
    source, duration = looked.source, looked.info.duration
    still = source.kind in (IMAGE, TFDS)
    if duration < 0.001 and not still:
        return
    film_end = math.floor(duration * 1000) / 1000
    inside = [
        dataclasses.replace(caption, end=min(caption.end, film_end))
        for caption in captions
        if caption.start < film_end
    ]
    plan.dropped["captions_past_the_end"] += len(captions) - len(inside)
    if settings.cut == "list" or still:
        _plan_listed(looked, inside, settings, dealer, plan)
        return
    if source.clips is not None and any(c.start or c.end is not None for c in source.clips):
        raise ValueError(
            f"{source.path}: the list gives times for it and the cut is by {settings.cut}; use "
            "--cut=list, or leave the times out."
        )
    held = 0
    for block in _blocks(source, film_end, inside, settings, dealer):
        own = splits.held_captions(block, inside)
        held += len(own)
        cut_by_caption = settings.cut == "caption"
        spans = (
            cutting.caption_spans(block, own, settings, plan.dropped)
            if cut_by_caption
            else cutting.window_spans(block, own, settings)
        )
        if _add_clips(looked, block, spans, own, settings, plan):
            plan.captions[block.split] += len(own)
            plan.blocks.append({"media_id": source.media_id, **dataclasses.asdict(block)})
    plan.dropped["captions_across_borders"] += len(inside) - held


def _blocks(
    source: Source,
    film_end: float,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dealer: _Dealer,
) -> list[splits.Block]:
    """The pieces of a film that are each in one split; their indices count over all films."""
    first = dealer.dealt
    split = source.split or (source.clips[0].split if source.clips else None)
    if split is not None or len(set(settings.split_pattern)) == 1:
        dealer.dealt += 1
        return [splits.Block(first, 0.0, film_end, split or settings.split_pattern[0])]
    blocks = splits.time_blocks(
        film_end, settings.block_seconds, settings.split_pattern, captions, first
    )
    dealer.dealt += len(blocks)
    return [dataclasses.replace(block, index=first + block.index) for block in blocks]


def _plan_listed(
    looked: _Looked,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dealer: _Dealer,
    plan: Plan,
) -> None:
    """Adds the clips that a source lists. Their splits are the list's, or one for the source."""
    source = looked.source
    spans = cutting.listed_spans(source, looked.info.duration, plan.dropped)
    fallback = source.split
    if fallback is None and any(span.split is None for span in spans):
        fallback = dealer.next()
    for split in dict.fromkeys(span.split or fallback or "" for span in spans):
        own = [span for span in spans if (span.split or fallback) == split]
        block = splits.Block(dealer.dealt, 0.0, looked.info.duration, split)
        clips = _add_clips(looked, block, own, captions, settings, plan)
        plan.captions[split] += len({caption for clip in clips for caption in clip.near})


def _add_clips(
    looked: _Looked,
    block: splits.Block,
    spans: Sequence[cutting.Span],
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    plan: Plan,
) -> list[PlannedClip]:
    """Adds the clips of one block, grouped in units, and returns them."""
    source, report = looked.source, plan.reports[looked.row]
    clips = []
    for span in spans:
        if _record_bytes(span, looked.info, settings) > MAX_RECORD_BYTES:
            plan.dropped["clips_too_long"] += 1
            report.fail(
                TOO_LONG,
                f"a clip of {(span.end_ms - span.start_ms) / 1000:.0f} s makes a record above "
                f"{MAX_RECORD_BYTES >> 20} MB; cut by window, or list shorter clips",
            )
            continue
        clip = writer.ClipSpan(
            media_id=source.media_id,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            block=block.index,
            split=block.split,
            labels=span.labels or source.labels,
            given_id=span.example_id,
        )
        window = settings.caption_window_seconds
        if span.split is not None and source.split is None:
            # Another clip of the film may be in another split: no caption reaches over.
            window = 0.0
        near = {
            *writer.captions_around(clip, captions, window),
            *span.own,
        }
        ordered = tuple(sorted(near, key=lambda c: (c.start, c.end, c.text)))
        clips.append(PlannedClip(clip, ordered, span.own))
    clips.sort(key=lambda clip: (clip.span.start_ms, clip.span.end_ms))
    for group in _groups(clips):
        plan.units.append(Unit(len(plan.units), source, looked.info, looked.row, tuple(group)))
    report.clips += len(clips)
    return clips


def _groups(clips: Sequence[PlannedClip]) -> Iterator[list[PlannedClip]]:
    """Runs of clips that are decoded together."""
    group: list[PlannedClip] = []
    for clip in clips:
        if group and clip.span.end_ms - group[0].span.start_ms > _UNIT_SECONDS * 1000:
            yield group
            group = []
        group.append(clip)
    if group:
        yield group


def _record_bytes(span: cutting.Span, info: media.MediaInfo, settings: Settings) -> float:
    """About how large a clip's record becomes."""
    seconds = (span.end_ms - span.start_ms) / 1000
    return seconds * bytes_a_second(info, settings)


def bytes_a_second(info: media.MediaInfo, settings: Settings) -> float:
    """About how much is stored of a second of a source."""
    rate = 0.0
    if info.width and info.height:
        aspect = max(info.width, info.height) / min(info.width, info.height)
        frame = settings.short_side**2 * aspect * JPEG_BYTES_A_PIXEL
        rate += settings.frame_rate * frame
    if info.has_audio and settings.sound == "waveform":
        rate += 4 * settings.sample_rate
    return rate


# ---- Checking ------------------------------------------------------------------------------------


def _class_ids(plan: Plan, class_names: Sequence[str] | None) -> dict[str, int]:
    """Class ids: the data set's own, or those of the sorted names."""
    found = {name for unit in plan.units for clip in unit.clips for name in clip.span.labels}
    if class_names is None:
        return writer.class_ids(found)
    ids = {name: index for index, name in enumerate(class_names)}
    unknown = sorted(found - set(ids))
    if unknown:
        raise ValueError(
            f"The label {unknown[0]!r} is none of the data set's {len(ids)} classes; check that "
            "the lists and the class file are of the same release."
        )
    return ids


def _check_ids(plan: Plan) -> None:
    """Example ids are what records are told apart by."""
    seen: dict[str, str] = {}
    for unit in plan.units:
        for clip in unit.clips:
            example_id = clip.span.example_id
            if example_id in seen:
                raise ValueError(
                    f"The example id {example_id!r} stands for a clip of {seen[example_id]} and "
                    f"one of {unit.source.path}; give each clip its own."
                )
            seen[example_id] = str(unit.source.path)
