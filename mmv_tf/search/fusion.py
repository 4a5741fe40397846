# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reciprocal rank fusion of moments found by vectors and of passages found in speech.

Each list gives its k-th moment the score weight / (60 + k), and moments in several lists add up
(Cormack et al., SIGIR 2009). Ranks need no common scale, which cosines and BM25 don't have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mmv_tf.search.moments import Evidence, Moment

_K = 60  # As in the paper.


@dataclasses.dataclass(frozen=True)
class FusionWeights:
    """The lists' weights.

    Attributes:
      video: weight for moments found by vectors.
      speech: weight for passages.

    Raises:
      ValueError: a weight is negative or infinite, or both are 0.
    """

    video: float = 1.0
    speech: float = 1.0

    def __post_init__(self) -> None:
        values = (self.video, self.speech)
        if not all(math.isfinite(value) and value >= 0 for value in values) or not any(values):
            raise ValueError(
                f"The fusion weights are video {self.video:g} and speech {self.speech:g}; "
                "expected numbers of at least 0, not both 0."
            )

    @classmethod
    def parse(cls, text: str) -> FusionWeights:
        """Parse "video=1,speech=0.5"; an omitted weight is 1.

        Raises:
          ValueError: the text does not have this form.
        """
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            try:
                weights[name.strip()] = float(value)
            except ValueError:
                weights[""] = math.nan
        if not weights.keys() <= {"video", "speech"}:
            raise ValueError(
                f"Got the weights {text!r}; expected, for example, video=1,speech=0.5."
            )
        return cls(**weights)


EVEN = FusionWeights()


def fused(
    seen: Sequence[Moment], said: Sequence[Moment], weights: FusionWeights, limit: int
) -> list[Moment]:
    """Return the best moments in two lists.

    A passage and the best moment that overlaps it are merged, from the earlier start to the later
    end. Moments that overlap a better one are left out.

    Args:
      seen: moments found by vectors, best first.
      said: passages, best first.
      weights: the lists' weights.
      limit: maximum number of moments.

    Returns:
      Moments, best first. Their scores are from 0 to 1, where 1 is first in both lists; `found` has
      the evidence from each list.
    """
    most = (weights.video + weights.speech) / (_K + 1)
    points = [weights.video / (_K + rank) / most for rank in range(1, len(seen) + 1)]
    joined: dict[int, Moment] = {}
    alone: list[Moment] = []
    for rank, passage in enumerate(said, start=1):
        score = weights.speech / (_K + rank) / most
        place = next((i for i, moment in enumerate(seen) if _overlap(moment, passage)), None)
        if place is None:
            alone.append(dataclasses.replace(passage, score=score))
        elif place not in joined:
            joined[place] = _joined(seen[place], passage, points[place] + score)
    found = [
        joined.get(place, dataclasses.replace(moment, score=points[place]))
        for place, moment in enumerate(seen)
    ]
    kept: list[Moment] = []
    for moment in sorted([*found, *alone], key=lambda moment: -moment.score):
        if len(kept) == limit:
            break
        if moment.score > 0 and not any(_overlap(moment, other) for other in kept):
            kept.append(moment)
    return kept


def _joined(seen: Moment, said: Moment, score: float) -> Moment:
    evidence: tuple[Evidence, ...] = (*seen.found, *said.found)
    start, end = min(seen.start, said.start), max(seen.end, said.end)
    return dataclasses.replace(seen, start=start, end=end, score=score, found=evidence)


def _overlap(one: Moment, other: Moment) -> bool:
    return one.video == other.video and one.start < other.end and one.end > other.start
