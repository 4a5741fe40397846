# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments found in speech, alone or mixed with moments found by vectors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmv_tf.inference.windows import Windows
from mmv_tf.search.answers import Answer
from mmv_tf.search.embedder import SOUND, Embedder
from mmv_tf.search.fusion import FusionWeights, fused
from mmv_tf.search.moments import HEARD, SAID, SEEN, Evidence, Moment
from mmv_tf.search.queries import SPEECH, TEXT, Asked, Query, embed_query
from mmv_tf.search.rules import Among, Rule
from mmv_tf.search.similar import Similar
from mmv_tf.search.spoken import Spoken
from mmv_tf.search.store import SPANS
from mmv_tf.search.words import Unit, shortened
from mmv_tf.util.sqlite import check_fts5

if TYPE_CHECKING:
    from mmv_tf.search.view import View

# Ours: moments to mix from each list, per moment of the answer.
_DEPTH = 5


def spoken_units(view: View, queries: Sequence[Query | Similar]) -> list[Unit]:
    """Return the units that queries look for in speech, without duplicates; empty without speech.

    Raises:
      ValueError: a query is about speech, but the index has no speech, or SQLite lacks FTS5.
    """
    sentences = [query for query in queries if isinstance(query, Query)]
    if not view.narrations:
        if any(query.within == SPEECH for query in sentences):
            if view.index.speech:
                check_fts5()
            raise ValueError(
                "This index has no speech; put captions beside the films or give "
                "--transcribe, and rerun the command that made the index."
            )
        return []
    return list(dict.fromkeys(unit for query in sentences for unit in query.units))


def embedded(
    view: View,
    queries: Sequence[Query | Similar],
    open_embedder: Callable[[], Embedder],
    read: Callable[[Query, Windows], np.ndarray] | None,
) -> tuple[list[Asked], tuple[str, ...]]:
    """Return queries as vectors, and the words that the model does not know.

    A sentence that the model can't embed is left out if it is searched for in speech.

    Args:
      view: the index's state.
      queries: the queries; queries that search only speech need no model.
      open_embedder: function that returns the index's model.
      read: function that decodes files; see `embed_query`.

    Raises:
      ValueError: as for `embed_query` and `View.similar`.
    """
    frames = view.index.manifest.frames_per_second > 0
    asked: list[Asked] = []
    unknown: list[str] = []
    for query in queries:
        if isinstance(query, Similar):
            asked.append(view.similar(query, open_embedder()))
            continue
        if query.within == SPEECH:
            continue
        embedder = open_embedder()
        if query.kind == TEXT and TEXT in embedder.accepts:
            unknown += embedder.unknown_words(str(query.value))
        try:
            asked.append(embed_query(query, embedder, read, frames))
        except ValueError:
            if view.narrations and query.units:
                continue
            raise
    return asked, tuple(dict.fromkeys(unknown))


def shared(weights: FusionWeights, queries: Sequence[Query | Similar]) -> FusionWeights:
    """Return weights in which speech counts in proportion to the queries that are searched in it.

    Args:
      weights: weights if all queries are sentences.
      queries: all queries in a search.
    """
    total = sum(abs(query.weight) for query in queries)
    said = sum(query.weight for query in queries if isinstance(query, Query) and query.units)
    return FusionWeights(weights.video, weights.speech * said / total)


def mixed(
    view: View,
    units: Sequence[Unit],
    search: Callable[[int], Answer] | None,
    required: Sequence[Rule],
    weights: FusionWeights,
    limit: int,
) -> tuple[Answer | None, list[Moment]]:
    """Return moments found in speech, mixed with those found by vectors.

    Args:
      view: the index's state.
      units: units to look for in speech.
      search: function that returns the answer by vectors, given a number of moments; None if there
        is none.
      required: rules that a window of each moment must satisfy.
      weights: weights for video and speech.
      limit: maximum number of moments.

    Returns:
      The answer by vectors, and the mixed moments. If there are no passages, they are those of the
      answer.
    """
    allowed = _Allowed(view, required)
    among = [rule.names for rule in required if isinstance(rule, Among)]
    only = (lambda name: all(name in names for names in among)) if among else None
    passages = (found for found in view.narrations.search(units, only) if allowed.has(found))
    said = [_moment(found) for found in itertools.islice(passages, _DEPTH * limit)]
    if search is None:
        return None, said[:limit]
    answer = search(_DEPTH * limit if said else limit)
    if not said:
        return answer, list(answer.moments)
    heard = all(part.matrix.startswith(f"{SOUND}.") for part in answer.asked)
    seen = [
        dataclasses.replace(moment, found=(Evidence(HEARD if heard else SEEN, moment.score),))
        for moment in answer.moments
    ]
    return answer, fused(seen, said, weights, limit)


def evidence_line(evidence: Evidence) -> str:
    """Return the evidence for a moment as one line for a terminal, such as "said 0.92: ..."."""
    origin = " (transcribed)" if evidence.transcribed else ""
    text = f": {shortened(evidence.text)}" if evidence.text else ""
    return f"{evidence.kind} {evidence.score:.3f}{origin}{text}"


def _moment(found: Spoken) -> Moment:
    evidence = Evidence(SAID, found.score, found.text, found.transcribed)
    return Moment(found.video, found.start, found.end, found.score, found.start, found=(evidence,))


class _Allowed:
    """Checks passages against the rules for windows."""

    def __init__(self, view: View, required: Sequence[Rule]):
        self._view = view
        self._required = required
        self._flags: dict[str, np.ndarray | None] = {}

    def has(self, found: Spoken) -> bool:
        """Return whether a window that overlaps the passage satisfies all rules."""
        if not self._required:
            return True
        video = self._view.videos[found.video]
        name = video.segment
        if name not in self._flags:
            self._flags[name] = self._view.usable(name, (), self._required)
        flags = self._flags[name]
        if flags is None:
            return True
        rows = slice(video.first, video.first + video.count)
        spans = self._view.index.segments[name].array(SPANS)[rows]
        overlap = (spans[:, 0] < found.end) & (spans[:, 1] > found.start)
        return bool((flags[rows] & overlap).any())
