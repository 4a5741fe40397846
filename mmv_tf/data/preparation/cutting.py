# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where a source is cut into clips: by its captions, by windows of time, or by a list."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import splits
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, TFDS, Source

# A tool that trims at key frames leaves more than was asked for.
_TRIMMED_SECONDS = 1.5


@dataclasses.dataclass(frozen=True)
class Span:
    """A clip in milliseconds from its source's start, and what the cut knows of it."""

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
    """A clip for each caption of a block, widened where it is short, inside the block."""
    low, high = round(block.start * 1000), round(block.end * 1000)
    context, shortest = round(settings.context_seconds * 1000), settings.min_clip_seconds * 1000
    spans: dict[tuple[int, int], Span] = {}
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
            before = spans[start, end]
            spans[start, end] = dataclasses.replace(before, own=(*before.own, caption))
        else:
            labels = (caption.label,) if caption.label is not None else ()
            spans[start, end] = Span(start, end, labels, (caption,))
    return list(spans.values())


def window_spans(
    block: splits.Block, captions: Sequence[captions_lib.Caption], settings: Settings
) -> list[Span]:
    """The windows in a block.

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
        labels = (label,) if label is not None and share >= length / 2 else ()
        spans.append(Span(start, end, labels))
    return spans


def listed_spans(source: Source, duration: float, dropped: collections.Counter[str]) -> list[Span]:
    """The clips that a source lists, or one of its whole length (zero for an image)."""
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
            trimmed = clip.may_be_trimmed and film_end <= wanted - start + _TRIMMED_SECONDS * 1000
            start, end = (0, film_end) if trimmed else (start, min(wanted, film_end))
        if still:
            start = end = 0
        elif start >= end:
            dropped["clips_past_the_end"] += 1
            continue
        if clip.end is not None and not clip.may_be_trimmed and not still:
            # Lists round to a second; what goes beyond that is told.
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
