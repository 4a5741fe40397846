# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers queries from an index, which may be updated or deleted in the meantime."""

from __future__ import annotations

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
from mmv_tf.search.embedder import VISION, Embedder
from mmv_tf.search.folders import Folders
from mmv_tf.search.fusion import EVEN, FusionWeights
from mmv_tf.search.labels import LabelFilter
from mmv_tf.search.manifest import LABELS, Video
from mmv_tf.search.mixing import embedded, mixed, shared, spoken_units
from mmv_tf.search.moments import Scored
from mmv_tf.search.queries import KINDS, TEXT, Query
from mmv_tf.search.queries import Asked as Asked
from mmv_tf.search.rules import Among, Required, Rule
from mmv_tf.search.similar import Similar
from mmv_tf.search.store import (
    Index,
    MissingIndex,
    newest_generation,
    open_index,
)
from mmv_tf.search.view import View
from mmv_tf.util.storage.workspace import brought


class Searcher:
    """Answers queries from an index; thread-safe.

    Args:
      directory: the index folder.
      model: path to the model; by default, the index's model.
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
        """Return the index's newest state, rereading it if it changed.

        Raises:
          MissingIndex: there is no index.
          ValueError: the index is damaged.
        """
        return self._current().index

    def embedder(self) -> Embedder:
        """Return the model that made the index.

        Raises:
          ValueError: the model is missing or differs.
        """
        with self._lock:
            manifest = self.open().manifest
            if self._embedder is None:
                given = manifest.model if self._model is None else str(self._model)
                path, options = brought(given, model=True), dict(manifest.options)
                for name in ("vocabulary", "image_model", "quantized"):
                    if name in options:
                        options[name] = brought(options[name])
                if not (pathlib.Path(path).exists() or is_published(path)):
                    raise ValueError(
                        f"{path}: the index's model was not found; pass its path as --model."
                    )
                steps = manifest.windows.step_frames
                self._embedder = Embedder.load(path, steps, **options)
            if not self._embedder.made(manifest.fingerprint):
                path, self._embedder = self._embedder.path, None
                raise ValueError(
                    f"{self.directory}: the index was made with a model "
                    f"({manifest.fingerprint[:12]}) other than the one in {path}; use the index's "
                    "model, or build the index again."
                )
            return self._embedder

    @property
    def accepts(self) -> tuple[str, ...]:
        """Supported kinds of queries; all kinds until the model is loaded."""
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
          queries: the queries. Without any, moments are sorted by label score.
          limit: maximum number of moments.
          read: function that decodes files; see `embed_query`.
          labels: labels that all windows of a moment must have.
          only: returns whether to search in a video; by default, all are searched.
          weights: weights for video and speech, where both are searched.

        Raises:
          MissingIndex: there is no index.
          ValueError: as for `embedder` and `embed_query`; there is neither a query nor a label; or
            the index has no such label.
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
            return self._judged(view, answer)

        if not units and (asked or not queries):
            return dataclasses.replace(search(limit), unknown_words=unknown)
        by_vectors = search if asked else None
        fusion = shared(weights, queries)
        answer, moments = mixed(view, units, by_vectors, required, fusion, limit)
        answer = answer or Answer((), (), False, required)
        return dataclasses.replace(answer, moments=tuple(moments), unknown_words=unknown)

    def _judged(self, view: View, answer: Answer) -> Answer:
        """Return an answer with the confidence of each moment, if its queries have a background."""
        asked = answer.asked
        labels = any(part.kind is None for part in asked)
        if labels or not answer.moments or not any(part.weight > 0 for part in asked):
            return answer
        known = view.background(asked, self.embedder())
        if known is None:
            return answer
        moments = tuple(
            dataclasses.replace(moment, confidence=known.confidence(moment.score))
            for moment in answer.moments
        )
        return dataclasses.replace(answer, moments=moments)

    def prepare(self) -> None:
        """Compute what the first sentence needs and later ones share: the confidence background.

        With a million windows, it takes a second or two.
        """
        try:
            embedder = self.embedder()
            space = embedder.space(TEXT, VISION)
            for vector in embedder.everyday_sentences.get(space, ())[:1]:
                asked = Asked(f"{VISION}.{space}", vector, 1.0, TEXT)
                self._current().background((asked,), embedder)
        except (ValueError, OSError):
            return  # The index is missing, damaged or not for sentences, which a query will report.

    def cues(self, name: str, start: float, end: float) -> list[Caption]:
        """Return the indexed cues for a part of a video, captions or transcripts, in time order.

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
        """Return the index's folders and the video with an id, or None."""
        view = self._current()
        video = view.by_id.get(key)
        return None if video is None else (view.index.manifest.folders, video)

    def _current(self) -> View:
        with self._lock:
            newest = newest_generation(self.directory)
            if newest == 0:
                self._view = None
                raise MissingIndex(
                    f"{self.directory}: there is no index; create one: mmv search "
                    f"index --videos=DIR --model=PATH --index={self.directory}"
                )
            if self._view is None or self._view.generation != newest:
                before = None if self._view is None else self._view.index
                self._view = View(open_index(self.directory, before), newest)
            return self._view
