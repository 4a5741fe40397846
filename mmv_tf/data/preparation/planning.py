# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plans clips: probes sources, assigns splits and cuts sources into clips."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media
from mmv_tf.data.preparation.cutting import SplitCycle, plan_source
from mmv_tf.data.preparation.decoding import MOST_DAMAGED_SHARE
from mmv_tf.data.preparation.plan import Plan, ProbedSource
from mmv_tf.data.preparation.probing import Probes
from mmv_tf.data.preparation.report import NO_AUDIO, NO_CAPTIONS, OK, TOO_SHORT, SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import VIDEO, Source
from mmv_tf.data.records import shard_writer
from mmv_tf.util.worker_pool import CORRUPT, Failure


def plan_clips(
    sources: Sequence[Source],
    settings: Settings,
    labels_file: str | pathlib.Path | None,
    class_names: Sequence[str] | None,
    probes: Probes,
) -> Plan:
    """Plan the clips of the sources that were probed.

    Args:
      sources: all sources.
      settings: settings that determine how to cut.
      labels_file: list of captions with labels for all sources.
      class_names: classes in the data set's order; None sorts them by name.
      probes: probes for all sources, or for a share of them. A share's units are the same as in the
        whole plan, except for their splits and class ids, and for sources for which a list assigns
        splits to only some clips.

    Raises:
      ValueError: no source can be used, or the only one cannot.
    """
    reports = [SourceReport(source.media_id, str(source.path)) for source in sources]
    plan = Plan(reports, [], [], collections.Counter(), {}, collections.Counter())
    labelled = _read_labels(labels_file, plan) if labels_file is not None else None
    cycle = SplitCycle(settings.split_pattern)
    for row in sorted(probes):
        source, report, info = sources[row], reports[row], probes[row]
        if isinstance(info, Failure):
            report.fail(info.status, info.reason)
            _stop_if_only(sources, report)
            continue
        report.seconds = round(info.duration, 3)
        _note_losses(source, info, report)
        try:
            captions = _read_captions(source, labelled, report)
        except ValueError as error:
            report.fail(NO_CAPTIONS, str(error))
            _stop_if_only(sources, report)
            continue
        if not captions and settings.cut == "caption":
            lacking = (
                f"{source.path}: no captions to cut by; put a .vtt, .srt or .json3 file of the "
                "same name beside it, or cut by window (--cut=window)"
            )
            report.fail(NO_CAPTIONS, next(iter(source.left_out.first.values()), lacking))
            _stop_if_only(sources, report)
            continue
        plan_source(ProbedSource(source, row, info), captions, settings, cycle, plan)
        if not report.clips:
            if report.status == OK:
                report.fail(
                    TOO_SHORT, f"{source.path}: no clip fits into its {info.duration:.2f} s"
                )
            _stop_if_only(sources, report)
        elif source.kind == VIDEO and not info.has_audio and settings.sound != "none":
            report.fail(NO_AUDIO, _why_no_audio(info))
        elif not captions and settings.cut != "list":
            report.fail(NO_CAPTIONS, "no caption file found")
    if not plan.units and len(probes) == len(sources):
        raise ValueError(
            f"None of the {len(sources)} sources yields a clip; the first is {reports[0].path}: "
            f"{reports[0].status} ({reports[0].reason})."
        )
    plan.labels = _class_ids(plan, class_names)
    _check_ids(plan)
    return plan


def _note_losses(source: Source, info: media.MediaInfo, report: SourceReport) -> None:
    """Record the parts of a video or audio file that cannot be read."""
    timeline = info.timeline
    if timeline is None:
        return
    if timeline.missing:
        report.leave_out("seconds_cut_off_at_the_end", round(timeline.missing))
        whole = info.duration + timeline.missing
        if timeline.missing > MOST_DAMAGED_SHARE * whole:
            report.fail(
                CORRUPT,
                f"{source.path}: is {info.duration:.2f} s long but should be {whole:.2f} s; it is "
                "cut off: get a complete copy",
            )
    report.leave_out("pieces_not_read", timeline.unread)
    report.leave_out("packets_of_picture_not_decoded", timeline.damaged_at_start)
    report.leave_out("seconds_of_picture_missing", round(timeline.holes))
    if timeline.has_video and timeline.has_audio and source.kind == VIDEO:
        unseen = timeline.sound_end - timeline.length
        report.leave_out("seconds_of_sound_after_the_picture", max(0, round(unseen - 0.5)))
    if info.has_audio:
        report.leave_out("sound_tracks_not_decoded", len(timeline.undecodable))


def _why_no_audio(info: media.MediaInfo) -> str:
    undecodable = info.timeline.undecodable if info.timeline is not None else ()
    if undecodable:
        return f"its audio can't be decoded ({', '.join(undecodable)})"
    return "no audio stream found"


def _read_labels(path: str | pathlib.Path, plan: Plan) -> tuple[captions_lib.Caption, ...]:
    """Return the captions in a list of labels, counting those left out for all sources."""
    labels = captions_lib.read_caption_file(path)
    for reason, count in labels.left_out.counts.items():
        plan.dropped[f"{reason}_in_the_labels"] += count
    return labels.captions


def _read_captions(
    source: Source, labelled: Sequence[captions_lib.Caption] | None, report: SourceReport
) -> list[captions_lib.Caption]:
    """Return a source's captions by start, labeled if there is a list of labels.

    Captions that are left out are counted in its report.
    """
    captions = sorted(source.narrations, key=lambda caption: (caption.start, caption.end))
    for reason, count in source.left_out.counts.items():
        report.leave_out(reason, count, source.left_out.first[reason])
    if source.captions is not None:
        read = captions_lib.read_caption_file(source.captions)
        captions = list(read.captions)
        for reason, count in read.left_out.counts.items():
            first = read.left_out.first[reason]
            report.leave_out(
                reason, count, first.replace(str(source.captions), source.captions.name)
            )
        if labelled is not None:
            captions = captions_lib.attach_labels(captions, labelled)
    return captions


def _stop_if_only(sources: Sequence[Source], report: SourceReport) -> None:
    """Raise a source's failure as an error if it is the only source."""
    if len(sources) == 1:
        raise ValueError(report.reason)


def _class_ids(plan: Plan, class_names: Sequence[str] | None) -> dict[str, int]:
    """Return class ids by name, in the data set's order or sorted by name."""
    found = {name for unit in plan.units for clip in unit.clips for name in clip.span.labels}
    if class_names is None:
        return shard_writer.class_ids(found)
    ids = {name: index for index, name in enumerate(class_names)}
    unknown = sorted(found - set(ids))
    if unknown:
        raise ValueError(
            f"The label {unknown[0]!r} is not one of the data set's {len(ids)} classes; check that "
            "the lists and the class file belong to the same release."
        )
    return ids


def _check_ids(plan: Plan) -> None:
    """Check that example ids are unique, since they identify records."""
    seen: dict[str, str] = {}
    for unit in plan.units:
        for clip in unit.clips:
            example_id = clip.span.example_id
            if example_id in seen:
                raise ValueError(
                    f"The example id {example_id!r} belongs to a clip from {seen[example_id]} and "
                    f"to one from {unit.source.path}; give each clip its own id."
                )
            seen[example_id] = str(unit.source.path)
