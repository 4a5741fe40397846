# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers to queries."""

from __future__ import annotations

import dataclasses

from mmv_tf.search.confidence import LEAST
from mmv_tf.search.moments import SAID, Moment
from mmv_tf.search.queries import Asked
from mmv_tf.search.rules import Rule


@dataclasses.dataclass(frozen=True)
class Answer:
    """Result of a search.

    Attributes:
      moments: moments, best first.
      asked: vectors of the queries, for `Searcher.curve`.
      approximate: whether FAISS chose the scored windows.
      required: labels that the windows must have, and videos that they must be of.
      unknown_words: words of the sentences that the model does not know, in the order written.
    """

    moments: tuple[Moment, ...]
    asked: tuple[Asked, ...]
    approximate: bool
    required: tuple[Rule, ...] = ()
    unknown_words: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """True if nothing matches well: no words were found, and no confidence is high."""
        known = [moment.confidence for moment in self.moments]
        said = any(evidence.kind == SAID for m in self.moments for evidence in m.found)
        return bool(known) and not said and all(c is not None and c < LEAST for c in known)

    def at_least(self, confidence: float) -> Answer:
        """Return the answer without moments of less confidence, unless words were found."""
        kept = tuple(
            moment
            for moment in self.moments
            if moment.confidence is None
            or moment.confidence >= confidence
            or any(evidence.kind == SAID for evidence in moment.found)
        )
        return dataclasses.replace(self, moments=kept)
