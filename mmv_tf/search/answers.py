# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers to queries."""

from __future__ import annotations

import dataclasses

from mmv_tf.search.confidence import LEAST
from mmv_tf.search.moments import SAID, Moment
from mmv_tf.search.queries import Asked
from mmv_tf.search.rules import Rule

# Ours: minimum score of a passage that contains the query: half of the words by weight.
_SAID = 0.5


@dataclasses.dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
      moments: moments, best first.
      asked: the queries' vectors, for `Searcher.curve`.
      approximate: whether FAISS chose the scored windows.
      required: labels that the windows must have, and videos to search in.
      unknown_words: words in the sentences that the model does not know, in the order written.
    """

    moments: tuple[Moment, ...]
    asked: tuple[Asked, ...]
    approximate: bool
    required: tuple[Rule, ...] = ()
    unknown_words: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """True if no moment is likely, and none contains half of the query's words.

        A moment without a confidence counts as a possible match.
        """
        return bool(self.moments) and not any(_matches(moment, LEAST) for moment in self.moments)

    def at_least(self, confidence: float) -> Answer:
        """Return the answer without moments that have less confidence and say few of the words."""
        kept = tuple(moment for moment in self.moments if _matches(moment, confidence))
        return dataclasses.replace(self, moments=kept)


def _matches(moment: Moment, confidence: float) -> bool:
    """Return whether a moment matches well, or has no confidence."""
    if any(evidence.kind == SAID and evidence.score >= _SAID for evidence in moment.found):
        return True
    if moment.confidence is None:
        return all(evidence.kind != SAID for evidence in moment.found)
    return moment.confidence >= confidence
