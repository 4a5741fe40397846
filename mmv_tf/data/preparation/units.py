# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""From spans of time to clips with their captions, grouped in units that are decoded at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media, splits, writer
from mmv_tf.data.preparation import cutting
from mmv_tf.data.preparation.plan import Looked, Plan, PlannedClip, Unit
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.tasks import TOO_LONG

JPEG_BYTES_A_PIXEL = 0.6  # Ours: at quality 90; film has about 0.45.
# Ours. A record is in memory a few times while it is made, and a worker shall stay below 1 GiB.
MAX_RECORD_BYTES = 64 << 20
# Ours: what is decoded at a time and held in memory, unless one clip alone is longer.
_UNIT_SECONDS = 30.0


def add_clips(
    looked: Looked,
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
