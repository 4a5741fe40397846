# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One state of an index, which answers queries given as vectors."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmv_tf.search.answers import Answer as Answer
from mmv_tf.search.approximate import Approximate
from mmv_tf.search.confidence import Background, background
from mmv_tf.search.embedder import SOUND, Embedder
from mmv_tf.search.exact import AnyTerm, Term, best, scores
from mmv_tf.search.files import video_id
from mmv_tf.search.frames import FRAMES, frames_term
from mmv_tf.search.manifest import LABELS, Video
from mmv_tf.search.moments import Scored, find_moments
from mmv_tf.search.queries import AUDIO, VIDEO
from mmv_tf.search.queries import Asked as Asked
from mmv_tf.search.rules import Rule
from mmv_tf.search.similar import Similar, mean_vector
from mmv_tf.search.spoken import Narrations
from mmv_tf.search.store import (
    HEARD,
    SPANS,
    Index,
    Segment,
)

# Ours: candidates per moment, before more are fetched.
_CANDIDATES = 16
# Ours: maximum number of windows for judging several queries together: each combination is
# computed once, within a second on two cores.
_MOST_COMBINED = 200_000
# Ours: maximum number of cached backgrounds, one per combination of kinds and weights, 128 values
# each.
_BACKGROUNDS = 64


class View:
    """One state of an index, with values derived from it.

    Args:
      index: the state.
      generation: the newest manifest's generation, intact or not.
    """

    def __init__(self, index: Index, generation: int):
        self.index = index
        self.generation = generation
        self.videos = {video.name: video for video in index.manifest.videos}
        self.by_id = {video_id(name): video for name, video in self.videos.items()}
        self._by_segment: dict[str, list[Video]] = collections.defaultdict(list)
        for video in index.manifest.videos:
            self._by_segment[video.segment].append(video)
        for videos in self._by_segment.values():
            videos.sort(key=lambda video: video.first)
        self._firsts = {
            name: np.array([video.first for video in videos])
            for name, videos in self._by_segment.items()
        }
        self.narrations = Narrations(index)
        self._usable: dict[tuple[str, bool], np.ndarray | None] = {}
        self._approximate: dict[tuple[str, str], Approximate | None] = {}
        self._backgrounds: dict[tuple[Any, ...], Background | None] = {}

    def background(self, asked: Sequence[Asked], embedder: Embedder) -> Background | None:
        """Return the scores of unrelated queries like these; see `confidence.background`."""
        if len(asked) > 1 and self.index.manifest.rows > _MOST_COMBINED:
            return None
        total = sum(abs(part.weight) for part in asked)
        key = tuple((part.kind, part.matrix, round(part.weight / total, 3)) for part in asked)
        if key not in self._backgrounds:
            if len(self._backgrounds) >= _BACKGROUNDS:
                self._backgrounds.pop(next(iter(self._backgrounds)), None)
            self._backgrounds[key] = background(self, asked, embedder)
        return self._backgrounds[key]

    def terms(self, name: str, asked: Sequence[Asked]) -> list[AnyTerm]:
        """Return queries as terms in a segment's scores."""
        return _terms(self.index.segments[name], asked)

    def search(
        self,
        asked: tuple[Asked, ...],
        limit: int,
        exact: bool,
        required: tuple[Rule, ...] = (),
    ) -> Answer:
        """Return the best moments; see `Searcher.search`."""
        # FAISS proposes windows regardless of labels, so that rare ones would be missed.
        exact = exact or bool(required)
        count, approximate = _CANDIDATES * limit, False
        while True:
            rows: list[tuple[float, str, int]] = []
            complete = True
            for name, segment in self.index.segments.items():
                usable = self.usable(name, asked, required)
                found, values, choice = self._candidates(name, segment, asked, count, exact, usable)
                approximate |= choice
                complete &= len(found) < count
                rows += zip(values.tolist(), [name] * len(found), found.tolist(), strict=True)
            rows.sort(key=lambda row: -row[0])
            moments = find_moments(
                (self.place(name, row) for _, name, row in rows),
                lambda video: self.windows_of(video, asked, required),
                limit,
                self._vector_of(asked),
            )
            if len(moments) == limit or complete or count >= self.index.manifest.rows:
                return Answer(tuple(moments), asked, approximate, required)
            count *= 4

    def usable(
        self, name: str, asked: Sequence[Asked], required: Sequence[Rule] = ()
    ) -> np.ndarray | None:
        """Return a mask of a segment's rows that may appear in results, or None if all may."""
        found = self._usable_by_sound(name, asked)
        for rule in required:
            allowed = rule.allows(self, name)
            found = allowed if found is None else found & allowed
        return found

    def of_segment(self, name: str) -> Sequence[Video]:
        """Return a segment's videos, in the order of their rows."""
        return self._by_segment[name]

    def similar(self, query: Similar, embedder: Embedder) -> Asked:
        """Return a moment as a query.

        Raises:
          ValueError: the index has no such video, or the moment is silent.
        """
        video = self.videos.get(query.video)
        if video is None:
            raise ValueError(f"The index has no video {query.video!r}.")
        segment = self.index.segments[video.segment]
        rows = slice(video.first, video.first + video.count)
        matrix = f"{query.within}.{embedder.space(query.within, query.within)}"
        heard = segment.array(HEARD)[rows] if query.within == SOUND else None
        vectors, spans = segment.array(matrix)[rows], segment.array(SPANS)[rows]
        vector = mean_vector(vectors, spans, query.start, query.end, heard)
        kind = AUDIO if query.within == SOUND else VIDEO
        return Asked(matrix, vector, query.weight, kind)

    def _usable_by_sound(self, name: str, asked: Sequence[Asked]) -> np.ndarray | None:
        needs_audio = any(part.matrix.startswith(f"{SOUND}.") for part in asked)
        if (name, needs_audio) not in self._usable:
            segment = self.index.segments[name]
            alive = np.zeros(segment.rows, bool)
            for video in self._by_segment[name]:
                alive[video.first : video.first + video.count] = True
            if needs_audio:
                alive &= segment.array(HEARD)
            self._usable[name, needs_audio] = None if alive.all() else alive
        return self._usable[name, needs_audio]

    def place(self, name: str, row: int) -> tuple[str, int]:
        """Return a row's video, and its window's index."""
        at = int(np.searchsorted(self._firsts[name], row, side="right")) - 1
        video = self._by_segment[name][at]
        return video.name, row - video.first

    def windows_of(
        self, name: str, asked: Sequence[Asked], required: Sequence[Rule] = ()
    ) -> Scored:
        """Return all windows of a video; windows excluded from results score -inf."""
        video = self.videos[name]
        segment = self.index.segments[video.segment]
        rows = slice(video.first, video.first + video.count)
        # Speech has no curve.
        terms = _terms(segment, asked)
        values = scores(terms, rows) if terms else np.zeros(video.count, np.float32)
        usable = self.usable(video.segment, asked, required)
        if usable is not None:
            values = np.where(usable[rows], values, -np.inf)
        return values, np.asarray(segment.array(SPANS)[rows])

    def _vector_of(self, asked: Sequence[Asked]) -> Callable[[str, int], np.ndarray] | None:
        """Return a function that detects similar windows, or None if there are no vectors."""
        matrix = asked[0].matrix
        if matrix in (LABELS, FRAMES):
            return None

        def vector(name: str, window: int) -> np.ndarray:
            video = self.videos[name]
            return np.asarray(
                self.index.segments[video.segment].array(matrix)[video.first + window], np.float32
            )

        return vector

    def _candidates(
        self,
        name: str,
        segment: Segment,
        asked: tuple[Asked, ...],
        count: int,
        exact: bool,
        usable: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return a segment's best rows, their scores, and whether FAISS chose them."""
        terms = _terms(segment, asked)
        towards = [part for part in asked if part.weight > 0]
        exact |= any(part.matrix == FRAMES for part in asked)  # FAISS has no frames.
        files = [self.approximate(name, part.matrix) for part in towards]
        if exact or not files or any(file is None for file in files):
            return *best(terms, count, usable), False
        # With several queries, rows close to any of them are scored by all.
        found = [
            file.best(part.vector, count)[0]
            for file, part in zip(files, towards, strict=True)
            if file is not None
        ]
        rows = np.unique(np.concatenate(found))
        if usable is not None:
            rows = rows[usable[rows]]
        values = scores(terms, rows)
        order = np.argsort(-values, kind="stable")[:count]
        return rows[order], values[order], True

    def approximate(self, name: str, matrix: str) -> Approximate | None:
        """Return a matrix's FAISS file, or None."""
        if (name, matrix) not in self._approximate:
            segment = self.index.segments[name]
            path = segment.directory / f"{matrix}.faiss"
            self._approximate[name, matrix] = Approximate.load(path, segment.array(matrix))
        return self._approximate[name, matrix]


def _terms(segment: Segment, asked: Sequence[Asked]) -> list[AnyTerm]:
    return [
        frames_term(segment, part.vector, part.weight)
        if part.matrix == FRAMES
        else Term(segment.array(part.matrix), part.vector, part.weight)
        for part in asked
    ]
