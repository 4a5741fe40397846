# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rules for the windows that may appear in a search's results."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from mmv_tf.search.manifest import LABELS

if TYPE_CHECKING:
    from mmv_tf.search.view import View


@dataclasses.dataclass(frozen=True)
class Required:
    """A label by its column in the index, and the minimum score of a window."""

    column: int
    threshold: float

    def allows(self, view: View, segment: str) -> np.ndarray:
        """Return a mask of a segment's rows that satisfy the rule, booleans [n]."""
        scores = view.index.segments[segment].array(LABELS)[:, self.column]
        return np.asarray(scores >= self.threshold)


@dataclasses.dataclass(frozen=True)
class Among:
    """Names of the videos to search in."""

    names: frozenset[str]

    def allows(self, view: View, segment: str) -> np.ndarray:
        """Return a mask of a segment's rows that satisfy the rule, booleans [n]."""
        allowed = np.zeros(view.index.segments[segment].rows, bool)
        for video in view.of_segment(segment):
            if video.name in self.names:
                allowed[video.first : video.first + video.count] = True
        return allowed


Rule = Required | Among
