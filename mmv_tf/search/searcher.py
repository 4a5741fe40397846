# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answering of queries from an index, which may be updated or deleted in the meantime."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.inference.windows import Windows
from mmv_tf.pretrained import is_published
from mmv_tf.search.answers import Answer as Answer
from mmv_tf.search.approximate import Approximate
from mmv_tf.search.confidence import Background, background
from mmv_tf.search.embedder import SOUND, Embedder
from mmv_tf.search.exact import AnyTerm, Term, best, scores
from mmv_tf.search.files import video_id
from mmv_tf.search.folders import Folders
from mmv_tf.search.frames import FRAMES, frames_term
from mmv_tf.search.fusion import EVEN, FusionWeights
from mmv_tf.search.labels import LabelFilter
from mmv_tf.search.manifest import LABELS, Video
from mmv_tf.search.mixing import embedded, mixed, shared, spoken_units
from mmv_tf.search.moments import Scored, find_moments
from mmv_tf.search.queries import KINDS, TEXT, Query
from mmv_tf.search.queries import Asked as Asked
from mmv_tf.search.rules import Among, Required, Rule
from mmv_tf.search.similar import Similar, mean_vector
from mmv_tf.search.spoken import Narrations
from mmv_tf.search.store import (
    HEARD,
    SPANS,
    Index,
    MissingIndex,
    Segment,
    newest_generation,
    open_index,
)

# Ours: candidates per moment, before more are fetched.
_CANDIDATES = 16


class Searcher:
    """Answers queries from an index; thread-safe.

    Args:
      directory: folder of the index.
      model: path of the model; default: that in the index.
      exact: never use FAISS.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        model: str | os.PathLike[str] | None = None,
        exact: bool = False,
    ):
        self.directory = pathlib.Path(directory)
        self._model = model
        self._exact = exact
        self._lock = threading.RLock()
        self._view: View | None = None
        self._embedder: Embedder | None = None

    def open(self) -> Index:
        """Return the newest state of the index, reading it if it changed.

        Raises:
          MissingIndex: there is no index.
          ValueError: it is damaged.
        """
        return self._current().index

    def embedder(self) -> Embedder:
        """Return the model that made the index.

        Raises:
          ValueError: the model is missing or another one.
        """
        with self._lock:
            manifest = self.open().manifest
            if self._embedder is None:
                path = manifest.model if self._model is None else str(self._model)
                if not (pathlib.Path(path).exists() or is_published(path)):
                    raise ValueError(
                        f"{path}: the model that made the index is missing; give it as --model."
                    )
                steps = manifest.windows.step_frames
                self._embedder = Embedder.load(path, steps, **manifest.options)
            if not self._embedder.made(manifest.fingerprint):
                path, self._embedder = self._embedder.path, None
                raise ValueError(
                    f"{self.directory}: the index was made with another model "
                    f"({manifest.fingerprint[:12]}) than {path} holds now; give that model or "
                    "make the index again."
                )
            return self._embedder

    @property
    def accepts(self) -> tuple[str, ...]:
        """Kinds of queries that can be asked; all kinds until the model is loaded."""
        embedder, view = self._embedder, self._view
        if embedder is None:
            return KINDS
        spoken = view is not None and bool(view.narrations)
        return tuple(
            kind for kind in KINDS if kind in embedder.accepts or (spoken and kind == TEXT)
        )

    def search(
        self,
        queries: Sequence[Query | Similar],
        limit: int = 10,
        read: Callable[[Query, Windows], np.ndarray] | None = None,
        labels: Sequence[LabelFilter] = (),
        only: Callable[[Video], bool] | None = None,
        weights: FusionWeights = EVEN,
    ) -> Answer:
        """Return the best moments for one query, or for several together.

        Args:
          queries: the queries. Without any, moments are sorted by the scores of the labels.
          limit: most moments.
          read: function that decodes files, see `embed_query`.
          labels: labels that all windows of a moment must have.
          only: returns whether to search in a video; default: in all.
          weights: weights of what is seen and what is said, where both are searched.

        Raises:
          MissingIndex: there is no index.
          ValueError: see `embedder` and `embed_query`; there is neither query nor label; or the
            index has no such label.
        """
        if not queries and not labels:
            raise ValueError(
                "There is no query; give a sentence, audio, an image, a clip or a label."
            )
        view = self._current()
        there = view.index.manifest.labels
        wanted = [
            Required(label.column(there, self.directory), label.threshold) for label in labels
        ]
        required: tuple[Rule, ...] = tuple(wanted)
        if only is not None:
            names = (video.name for video in view.index.manifest.videos if only(video))
            required += (Among(frozenset(names)),)
        units = spoken_units(view, queries)
        asked, unknown = embedded(view, queries, self.embedder, read)
        if not queries and there is not None:
            one_hot = np.eye(len(there.names), dtype=np.float32)
            asked = [Asked(LABELS, one_hot[label.column], 1.0) for label in wanted]

        def search(count: int) -> Answer:
            answer = view.search(tuple(asked), count, self._exact, required)
            return self._judged(view, answer, queries)

        if not units and (asked or not queries):
            return dataclasses.replace(search(limit), unknown_words=unknown)
        by_vectors = search if asked else None
        fusion = shared(weights, queries)
        answer, moments = mixed(view, units, by_vectors, required, fusion, limit)
        answer = answer or Answer((), (), False, required)
        return dataclasses.replace(answer, moments=tuple(moments), unknown_words=unknown)

    def _judged(self, view: View, answer: Answer, queries: Sequence[Query | Similar]) -> Answer:
        """Return an answer to a single query with the confidence of each moment."""
        single = len(queries) == 1 and len(answer.asked) == 1 and answer.asked[0].weight > 0
        if not single or not isinstance(queries[0], Query):
            return answer
        known = view.background(queries[0], answer.asked[0], self.embedder())
        if known is None:
            return answer
        moments = tuple(
            dataclasses.replace(moment, confidence=known.confidence(moment.score))
            for moment in answer.moments
        )
        return dataclasses.replace(answer, moments=moments)

    def cues(self, name: str, start: float, end: float) -> list[Caption]:
        """Return the indexed cues of a part of a video, captions or transcripts, by time.

        Raises:
          KeyError: the index has no such video.
        """
        view = self._current()
        return view.narrations.cues(view.videos[name], start, end)

    def curve(self, name: str, asked: Sequence[Asked], required: Sequence[Rule] = ()) -> Scored:
        """Return the scores along a video, and their spans.

        Raises:
          KeyError: the index has no such video.
        """
        return self._current().windows_of(name, asked, required)

    def video(self, key: str) -> tuple[Folders, Video] | None:
        """Return the folders of the index and the video of an id, or None."""
        view = self._current()
        video = view.by_id.get(key)
        return None if video is None else (view.index.manifest.folders, video)

    def _current(self) -> View:
        with self._lock:
            newest = newest_generation(self.directory)
            if newest == 0:
                self._view = None
                raise MissingIndex(
                    f"{self.directory}: there is no index; make one: python -m binaries.search "
                    f"index --videos=DIR --model=PATH --index={self.directory}"
                )
            if self._view is None or self._view.generation != newest:
                before = None if self._view is None else self._view.index
                self._view = View(open_index(self.directory, before), newest)
            return self._view


class View:
    """One state of an index, with values derived from it.

    Args:
      index: the state.
      generation: generation of the newest manifest, intact or not.
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
        self._backgrounds: dict[tuple[str, str], Background | None] = {}

    def background(self, query: Query, asked: Asked, embedder: Embedder) -> Background | None:
        """Return the scores of unrelated queries of a kind; see `confidence.background`."""
        key = (query.kind, asked.matrix)
        if key not in self._backgrounds:
            self._backgrounds[key] = background(self, query, asked, embedder)
        return self._backgrounds[key]

    def term(self, name: str, asked: Asked) -> AnyTerm:
        """Return a query as a term of scores in a segment."""
        return _terms(self.index.segments[name], (asked,))[0]

    def search(
        self,
        asked: tuple[Asked, ...],
        limit: int,
        exact: bool,
        required: tuple[Rule, ...] = (),
    ) -> Answer:
        """Return the best moments; see `Searcher.search`."""
        # FAISS proposes windows without regard to labels, so that rare ones would be missed.
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
        """Return flags for the rows of a segment that may be found; None for all."""
        found = self._usable_by_sound(name, asked)
        for rule in required:
            allowed = rule.allows(self, name)
            found = allowed if found is None else found & allowed
        return found

    def of_segment(self, name: str) -> Sequence[Video]:
        """Return the videos of a segment, by their rows."""
        return self._by_segment[name]

    def similar(self, query: Similar, embedder: Embedder) -> Asked:
        """Return a moment as a query.

        Raises:
          ValueError: the index has no such video, or nothing is heard in the moment.
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
        return Asked(matrix, vector, query.weight)

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
        """Return the video of a row, and the index of its window."""
        at = int(np.searchsorted(self._firsts[name], row, side="right")) - 1
        video = self._by_segment[name][at]
        return video.name, row - video.first

    def windows_of(
        self, name: str, asked: Sequence[Asked], required: Sequence[Rule] = ()
    ) -> Scored:
        """Return all windows of a video; those that can't be found score -inf."""
        video = self.videos[name]
        segment = self.index.segments[video.segment]
        rows = slice(video.first, video.first + video.count)
        # What is said has no curve.
        terms = _terms(segment, asked)
        values = scores(terms, rows) if terms else np.zeros(video.count, np.float32)
        usable = self.usable(video.segment, asked, required)
        if usable is not None:
            values = np.where(usable[rows], values, -np.inf)
        return values, np.asarray(segment.array(SPANS)[rows])

    def _vector_of(self, asked: Sequence[Asked]) -> Callable[[str, int], np.ndarray] | None:
        """Return a function of the window that tells alike ones; None without vectors."""
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
        """Return the best rows of a segment, their scores, and whether FAISS chose them."""
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
        """Return FAISS's file of a matrix, or None."""
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
