# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cuts sources into clips, groups clips into units, and assigns splits."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media
from mmv_tf.data.preparation import splits
from mmv_tf.data.preparation.plan import Plan, PlannedClip, ProbedSource, Unit
from mmv_tf.data.preparation.report import TOO_LONG
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, TFDS, TRIMMED_SECONDS, Source
from mmv_tf.data.records import shard_writer
from mmv_tf.data.records.manifests import VIDEO_STORE
from mmv_tf.data.stored_clips.clip_encoder import SOUND_BIT_RATE


@dataclasses.dataclass(frozen=True)
class Span:
    """A clip in milliseconds from the start of its source, with what cutting has determined."""

    start_ms: int
    end_ms: int
    labels: tuple[str, ...] = ()
    own: tuple[captions_lib.Caption, ...] = ()
    split: str | None = None
    example_id: str | None = None


def caption_spans(
    block: splits.Block,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dropped: collections.Counter[str],
) -> list[Span]:
    """Return one clip per caption in a block, widening short ones within the block."""
    low, high = round(block.start * 1000), round(block.end * 1000)
    context, shortest = round(settings.context_seconds * 1000), settings.min_clip_seconds * 1000
    spans: dict[tuple[int, int], Span] = {}
    for caption in captions:
        start = max(low, round(caption.start * 1000) - context)
        end = min(high, round(caption.end * 1000) + context)
        lacking = math.ceil(shortest) - (end - start)
        if lacking > 0:
            # Widen both sides equally, as far as the block allows.
            start = max(low, start - lacking // 2)
            end = min(high, start + math.ceil(shortest))
            start = max(low, end - math.ceil(shortest))
        if end - start < shortest:
            dropped["clips_too_short"] += 1
        elif (start, end) in spans:
            dropped["clips_of_equal_span"] += 1
            before = spans[start, end]
            spans[start, end] = dataclasses.replace(before, own=(*before.own, caption))
        else:
            labels = (caption.label,) if caption.label is not None else ()
            spans[start, end] = Span(start, end, labels, (caption,))
    return list(spans.values())


def window_spans(
    block: splits.Block, captions: Sequence[captions_lib.Caption], settings: Settings
) -> list[Span]:
    """Return the windows in a block.

    A window gets the label of the caption that covers most of it, if that is at least half of it.
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
        labels = (label,) if label is not None and share >= length / 2 else ()
        spans.append(Span(start, end, labels))
    return spans


def listed_spans(source: Source, duration: float, dropped: collections.Counter[str]) -> list[Span]:
    """Return a source's listed clips, or else one clip of its whole length (zero for an image)."""
    film_end = math.floor(duration * 1000)
    still = source.kind in (IMAGE, TFDS)
    if source.clips is None:
        example_id = source.media_id if still else None
        return [Span(0, film_end, example_id=example_id)] if film_end or example_id else []
    spans: dict[tuple[int, int, str | None], Span] = {}
    for clip in source.clips:
        start, end = round(clip.start * 1000), film_end
        if clip.end is not None:
            wanted = round(clip.end * 1000)
            trimmed = clip.may_be_trimmed and film_end <= wanted - start + TRIMMED_SECONDS * 1000
            start, end = (0, film_end) if trimmed else (start, min(wanted, film_end))
        if still:
            start = end = 0
        elif start >= end:
            dropped["clips_past_the_end"] += 1
            continue
        if clip.end is not None and not clip.may_be_trimmed and not still:
            # Lists round to seconds; only an excess beyond that is counted.
            dropped["clip_seconds_past_the_end"] += max(0, (round(clip.end * 1000) - end) // 1000)
        key = (start, end, clip.example_id)
        if key in spans:
            dropped["clips_of_equal_span"] += 1
            before = spans[key]
            own = captions_lib.captions_of(clip.texts, start, end)
            spans[key] = dataclasses.replace(
                before,
                labels=tuple(dict.fromkeys((*before.labels, *clip.labels))),
                own=(*before.own, *own),
            )
            continue
        own = captions_lib.captions_of(clip.texts, start, end)
        example_id = clip.example_id
        if example_id is None and still:
            example_id = source.media_id
        spans[key] = Span(start, end, clip.labels, own, clip.split, example_id)
    return list(spans.values())


JPEG_BYTES_A_PIXEL = 0.6  # Ours: at quality 90; real films need about 0.45.

# Ours: at a rate factor of 22; the quickstart's film needs 0.04.
VIDEO_BYTES_A_PIXEL = 0.1

# Ours. Writing holds several copies of a record in memory; a worker must stay below 1 GiB.
MAX_RECORD_BYTES = 64 << 20

# Ours: media decoded and held in memory at a time, unless a single clip is longer.
_UNIT_SECONDS = 30.0


def add_clips(
    probed: ProbedSource,
    block: splits.Block,
    spans: Sequence[Span],
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    plan: Plan,
) -> list[PlannedClip]:
    """Add the clips of one block to the plan, grouped into units, and return the clips."""
    source, report = probed.source, plan.reports[probed.row]
    clips = []
    for span in spans:
        if _record_bytes(span, probed.info, settings) > MAX_RECORD_BYTES:
            plan.dropped["clips_too_long"] += 1
            report.fail(
                TOO_LONG,
                f"a clip of {(span.end_ms - span.start_ms) / 1000:.0f} s makes a record larger "
                f"than {MAX_RECORD_BYTES >> 20} MB; cut by window, or list shorter clips",
            )
            continue
        clip = shard_writer.ClipSpan(
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
            # Another clip of the film may be in another split, so clips must not share captions.
            window = 0.0
        near = {
            *shard_writer.captions_around(clip, captions, window),
            *span.own,
        }
        ordered = tuple(sorted(near, key=lambda c: (c.start, c.end, c.text)))
        clips.append(PlannedClip(clip, ordered, span.own))
    clips.sort(key=lambda clip: (clip.span.start_ms, clip.span.end_ms))
    for group in _groups(clips):
        plan.units.append(Unit(len(plan.units), source, probed.info, probed.row, tuple(group)))
    report.clips += len(clips)
    return clips


def _groups(clips: Sequence[PlannedClip]) -> Iterator[list[PlannedClip]]:
    """Yield runs of clips that are decoded together."""
    group: list[PlannedClip] = []
    for clip in clips:
        if group and clip.span.end_ms - group[0].span.start_ms > _UNIT_SECONDS * 1000:
            yield group
            group = []
        group.append(clip)
    if group:
        yield group


def _record_bytes(span: Span, info: media.MediaInfo, settings: Settings) -> float:
    """Estimate the size of a clip's record."""
    seconds = (span.end_ms - span.start_ms) / 1000
    return seconds * bytes_a_second(info, settings)


def bytes_a_second(info: media.MediaInfo, settings: Settings) -> float:
    """Estimate the bytes stored for a second of a source."""
    rate, stores_video = 0.0, settings.store == VIDEO_STORE
    if info.width and info.height:
        aspect = max(info.width, info.height) / min(info.width, info.height)
        pixels = settings.frame_rate * settings.short_side**2 * aspect
        if stores_video:
            rate += pixels * VIDEO_BYTES_A_PIXEL * 2 ** ((22 - settings.video_crf) / 6)
        else:
            rate += pixels * JPEG_BYTES_A_PIXEL
    if info.has_audio and settings.sound == "waveform":
        rate += SOUND_BIT_RATE / 8 if stores_video else 4 * settings.sample_rate
    return rate


@dataclasses.dataclass
class SplitCycle:
    """Assigns the splits of a pattern in turn to blocks of films and to whole sources.

    Attributes:
      pattern: names of splits.
      count: number of blocks and sources that already have a split.
    """

    pattern: tuple[str, ...]
    count: int = 0

    def next(self) -> str:
        """Return the split of the next whole source."""
        self.count += 1
        return self.pattern[(self.count - 1) % len(self.pattern)]


def plan_source(
    probed: ProbedSource,
    captions: list[captions_lib.Caption],
    settings: Settings,
    cycle: SplitCycle,
    plan: Plan,
) -> None:
    """Add a source's clips to the plan."""
    source, duration = probed.source, probed.info.duration
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
        _plan_listed(probed, inside, settings, cycle, plan)
        return
    if source.clips is not None and any(c.start or c.end is not None for c in source.clips):
        raise ValueError(
            f"{source.path}: the list gives times, but --cut is {settings.cut}; use "
            "--cut=list, or leave the times out."
        )
    held = 0
    for block in _blocks(source, film_end, inside, settings, cycle):
        own = splits.held_captions(block, inside)
        held += len(own)
        cut_by_caption = settings.cut == "caption"
        spans = (
            caption_spans(block, own, settings, plan.dropped)
            if cut_by_caption
            else window_spans(block, own, settings)
        )
        if add_clips(probed, block, spans, own, settings, plan):
            plan.captions[block.split] += len(own)
            plan.blocks.append({"media_id": source.media_id, **dataclasses.asdict(block)})
    plan.dropped["captions_across_borders"] += len(inside) - held


def _blocks(
    source: Source,
    film_end: float,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    cycle: SplitCycle,
) -> list[splits.Block]:
    """Return the blocks of a film, each in one split; their indices count over all films."""
    first = cycle.count
    split = source.split or (source.clips[0].split if source.clips else None)
    if split is not None or len(set(settings.split_pattern)) == 1:
        cycle.count += 1
        return [splits.Block(first, 0.0, film_end, split or settings.split_pattern[0])]
    blocks = splits.time_blocks(
        film_end, settings.block_seconds, settings.split_pattern, captions, first
    )
    cycle.count += len(blocks)
    return [dataclasses.replace(block, index=first + block.index) for block in blocks]


def _plan_listed(
    probed: ProbedSource,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    cycle: SplitCycle,
    plan: Plan,
) -> None:
    """Add the clips that a source lists, with the list's splits or one for the source."""
    source = probed.source
    spans = listed_spans(source, probed.info.duration, plan.dropped)
    fallback = source.split
    if fallback is None and any(span.split is None for span in spans):
        fallback = cycle.next()
    for split in dict.fromkeys(span.split or fallback or "" for span in spans):
        own = [span for span in spans if (span.split or fallback) == split]
        block = splits.Block(cycle.count, 0.0, probed.info.duration, split)
        clips = add_clips(probed, block, own, captions, settings, plan)
        plan.captions[split] += len({caption for clip in clips for caption in clip.near})
