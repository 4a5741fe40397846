# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers to queries."""

from __future__ import annotations

import dataclasses

from mmv_tf.search.moments import Moment
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
