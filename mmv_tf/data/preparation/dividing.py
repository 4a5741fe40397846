# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A source's time divided among the splits and cut into clips."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import splits
from mmv_tf.data.preparation import cutting
from mmv_tf.data.preparation.plan import Looked, Plan
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, TFDS, Source
from mmv_tf.data.preparation.units import add_clips


@dataclasses.dataclass
class Dealer:
    """Deals the splits of a pattern out, in turn, to blocks of films or to whole sources."""

    pattern: tuple[str, ...]
    dealt: int = 0

    def next(self) -> str:
        """The split of the next whole source."""
        self.dealt += 1
        return self.pattern[(self.dealt - 1) % len(self.pattern)]


def plan_source(
    looked: Looked,
    captions: list[captions_lib.Caption],
    settings: Settings,
    dealer: Dealer,
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
        if add_clips(looked, block, spans, own, settings, plan):
            plan.captions[block.split] += len(own)
            plan.blocks.append({"media_id": source.media_id, **dataclasses.asdict(block)})
    plan.dropped["captions_across_borders"] += len(inside) - held


def _blocks(
    source: Source,
    film_end: float,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dealer: Dealer,
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
    looked: Looked,
    captions: Sequence[captions_lib.Caption],
    settings: Settings,
    dealer: Dealer,
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
        clips = add_clips(looked, block, own, captions, settings, plan)
        plan.captions[split] += len({caption for clip in clips for caption in clip.near})
