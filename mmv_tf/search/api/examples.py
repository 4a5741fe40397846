# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Example sentences for a first search: captions from the index's own videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.search.manifest import Video

# Ours: examples that fit on a phone, and the number of videos that are read to find them.
MOST_EXAMPLES = 4
_SHORTEST, _LONGEST = 8, 56
_VIDEOS = 8
_T = TypeVar("_T")


def examples(
    videos: Sequence[Video],
    captions_of: Callable[[Video], Sequence[Caption]],
    known: Callable[[list[str]], Sequence[bool]],
) -> list[str]:
    """Return a few captions, from different videos and positions if there are several.

    Args:
      videos: all videos in the index.
      captions_of: returns a video's captions.
      known: returns which sentences can be searched for.
    """
    told = [video for video in videos if video.captions is not None or video.said is not None]
    chosen = _spread(told, _VIDEOS)
    each = -(-MOST_EXAMPLES // max(1, len(chosen)))
    found: list[str] = []
    for video in chosen:
        texts = list(dict.fromkeys(caption.text for caption in captions_of(video)))
        short = [text for text in texts if _SHORTEST <= len(text) <= _LONGEST]
        tried = _spread(short, 4 * each)
        if tried:
            good = [
                text
                for text, there in zip(tried, known(tried), strict=True)
                if there and text not in found
            ]
            found += _spread(good, each)
    return _spread(found, MOST_EXAMPLES)


def _spread(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most `most` items, from the middles of equal parts."""
    if len(items) <= most:
        return list(items)
    places = ((np.arange(most) + 0.5) * len(items) / most).astype(int)
    return [items[place] for place in places]
