# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Splits one film into training and held-out parts by blocks of time.

Adjacent seconds of a film look and sound alike, so randomly chosen clips would put near copies of
training clips into the test set. The film is therefore cut into blocks, and each block belongs to
one split as a whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib

# Limit on moving a border, as a fraction of a block, so that it cannot pass the next one.
_REACH = 0.5
# In a long pause, the border only keeps this distance from the captions.
_MARGIN_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Block:
    """A span of a film, [start, end) in seconds (whole milliseconds), and its split."""

    index: int
    start: float
    end: float
    split: str

    def holds(self, start: float, end: float) -> bool:
        """Return whether the span from `start` to `end` lies inside."""
        return self.start <= start and end <= self.end


def time_blocks(
    duration: float,
    block_seconds: float,
    pattern: Sequence[str],
    captions: Sequence[captions_lib.Caption] = (),
    first: int = 0,
) -> list[Block]:
    """Cut a film into blocks, with borders between captions where possible.

    Each border of an even division moves to the middle of the nearest gap between captions (in a
    gap longer than a second, only until it is half a second from either caption), by at most half a
    block. If no gap is that near, the border stays, and captions across it belong to no block; see
    `held_captions`.

    Args:
      duration: the film's duration, in seconds.
      block_seconds: approximate length of a block.
      pattern: split names, assigned to the blocks cyclically.
      captions: the film's captions, in any order.
      first: position in the pattern to start from, for the second and later films in a collection.

    Returns:
      The blocks in order; together they cover [0, duration) without overlap.

    Raises:
      ValueError: `duration` or `block_seconds` is not positive, or `pattern` is empty.
    """
    if not (0 < duration < math.inf and 0 < block_seconds < math.inf):
        raise ValueError(
            f"The duration is {duration} s and the block length {block_seconds} s; both must be "
            "positive."
        )
    if not pattern or not all(pattern):
        raise ValueError(
            f"The split pattern is {list(pattern)}; expected a split name in each position, for "
            "example train,train,test."
        )
    duration = math.floor(duration * 1000) / 1000
    count = max(1, round(duration / block_seconds))
    length = duration / count
    gaps = _gaps(captions, duration)
    borders = [0.0]
    for index in range(1, count):
        nominal = index * length
        points = [round(_point_in(gap, nominal), 3) for gap in gaps]
        points = [
            point
            for point in points
            if abs(point - nominal) < _REACH * length and borders[-1] < point < duration
        ]
        border = min(points, key=lambda point: abs(point - nominal), default=round(nominal, 3))
        borders.append(border)
    borders.append(duration)
    return [
        Block(index, borders[index], borders[index + 1], pattern[(first + index) % len(pattern)])
        for index in range(count)
    ]


def held_captions(
    block: Block, captions: Sequence[captions_lib.Caption]
) -> list[captions_lib.Caption]:
    """Return the captions that lie entirely inside a block."""
    return [caption for caption in captions if block.holds(caption.start, caption.end)]


def _gaps(captions: Sequence[captions_lib.Caption], duration: float) -> list[tuple[float, float]]:
    """Return the spans without captions."""
    gaps, covered = [], 0.0
    for caption in sorted(captions, key=lambda caption: caption.start):
        if caption.start >= covered:
            gaps.append((covered, min(caption.start, duration)))
        covered = max(covered, caption.end)
    if covered <= duration:
        gaps.append((covered, duration))
    return gaps


def _point_in(gap: tuple[float, float], wanted: float) -> float:
    """Return the point in a gap nearest to `wanted` that keeps a margin from the gap's ends."""
    start, end = gap
    margin = min((end - start) / 2, _MARGIN_SECONDS)
    return min(max(wanted, start + margin), end - margin)
