# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moment confidence: the fraction of unrelated queries with a worse answer in the index.

A cosine similarity alone says little: in one model 0.2 is a good match, in another every window
exceeds it. So a query's best score is compared with the best scores of unrelated queries of its
kind in the same index. For sentences, these are 128 everyday sentences of ours; for audio, images
and clips, they are windows from the index itself, leaving out each window's own surroundings.
Several queries together are compared with random combinations of unrelated queries, with the same
weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.exact import best_of_each
from mmv_tf.search.frames import FRAMES, first_frame
from mmv_tf.search.manifest import Video
from mmv_tf.search.queries import AUDIO, TEXT, Asked
from mmv_tf.search.store import SPANS

if TYPE_CHECKING:
    from mmv_tf.search.embedder import Embedder
    from mmv_tf.search.view import View

# Ours: with the quickstart's model on its film, 9 of 10 correct answers reach it, and 1 of 10 top
# answers to sentences about things that are not in the film.
LEAST = 0.9
# Ours: minimum number of unrelated queries, such as sentences with a word known to the model.
_LEAST_QUERIES = 32
# Ours: number of windows in the index that serve as unrelated queries.
_SAMPLES = 128
# Ours: part of a video around such a window that is related to it, in seconds.
_RELATED_SECONDS = 30.0
_WORDS = ((0.99, "very likely"), (LEAST, "likely"), (0.75, "doubtful"))


def word(confidence: float) -> str:
    """Return a word that describes a confidence."""
    return next((text for least, text in _WORDS if confidence >= least), "unlikely")


@dataclasses.dataclass(frozen=True)
class Background:
    """Best scores of unrelated queries in an index.

    Attributes:
      tops: float32 [Q], ascending.
    """

    tops: np.ndarray

    def confidence(self, score: float) -> float:
        """Return the fraction of unrelated queries whose best score is lower, 0 to 1."""
        return float(np.searchsorted(self.tops, score)) / len(self.tops)


def background(view: View, asked: Sequence[Asked], embedder: Embedder) -> Background | None:
    """Return the scores with which to compare a search's scores.

    Args:
      view: the index.
      asked: the search's queries, none of them a label.
      embedder: the model.

    Returns:
      None if the model knows too few words of the everyday sentences, or the index is too small.
    """
    drawn = [_unrelated(view, part, embedder) for part in asked]
    count = min(len(one.vectors) for one in drawn)
    if count < _LEAST_QUERIES or not view.index.segments:
        return None
    # Several queries together: unrelated queries of each kind, combined at random.
    drawn = [one.shuffled(seed) if seed else one for seed, one in enumerate(drawn)]
    unrelated = [
        dataclasses.replace(part, vector=one.vectors[:count].T)
        for part, one in zip(asked, drawn, strict=True)
    ]
    samples = [sample for one in drawn for sample in enumerate(one.samples[:count])]
    parts = [
        best_of_each(view.terms(name, unrelated), view.usable(name, asked), _related(name, samples))
        for name in view.index.segments
    ]
    tops = np.max(parts, axis=0)
    tops = np.sort(tops[np.isfinite(tops)])
    return Background(tops) if len(tops) >= _LEAST_QUERIES else None


@dataclasses.dataclass(frozen=True)
class _Unrelated:
    """Unrelated queries of one kind.

    Attributes:
      vectors: float32 [Q, D].
      samples: windows that the queries come from, in the same order; empty for sentences.
    """

    vectors: np.ndarray
    samples: Sequence[_Sample] = ()

    def shuffled(self, seed: int) -> _Unrelated:
        """Return the queries in another order."""
        order = np.random.default_rng(seed).permutation(len(self.vectors))
        return _Unrelated(
            self.vectors[order], [self.samples[at] for at in order] if self.samples else ()
        )


def _unrelated(view: View, asked: Asked, embedder: Embedder) -> _Unrelated:
    """Return everyday sentences, or windows from the index that are embedded as the query is."""
    if asked.kind == TEXT:
        vectors = embedder.everyday_sentences.get(asked.matrix.partition(".")[2])
        return _Unrelated(np.zeros((0, 0)) if vectors is None else vectors)
    samples = list(_samples(view, asked))
    found = [sample.vector for sample in samples]
    return _Unrelated(np.stack(found) if found else np.zeros((0, 0)), samples)


@dataclasses.dataclass(frozen=True)
class _Sample:
    """A window that serves as an unrelated query: its video, rows around it, and vector."""

    video: Video
    first: int
    end: int
    vector: np.ndarray


def _samples(view: View, asked: Asked) -> Iterator[_Sample]:
    """Yield evenly spaced windows from all videos."""
    space = asked.matrix.partition(".")[2]
    modality = SOUND if asked.kind == AUDIO else VISION
    videos = view.index.manifest.videos
    ends = np.cumsum([video.count for video in videos])
    for place in np.unique(np.linspace(0, view.index.manifest.rows - 1, _SAMPLES).astype(int)):
        at = int(np.searchsorted(ends, place, side="right"))
        video = videos[at]
        row = video.first + int(place) - (int(ends[at]) - video.count)
        segment = view.index.segments[video.segment]
        if asked.matrix == FRAMES:
            vector = first_frame(segment, row)
        else:
            vector = np.asarray(segment.array(f"{modality}.{space}")[row], np.float32)
        if not vector.any():
            continue  # It is silent or black.
        starts = segment.array(SPANS)[video.first : video.first + video.count, 0]
        near = np.abs(starts - segment.array(SPANS)[row, 0]) <= _RELATED_SECONDS
        rows = video.first + np.flatnonzero(near)
        yield _Sample(video, int(rows[0]), int(rows[-1]) + 1, vector)


def _related(name: str, samples: Sequence[tuple[int, _Sample]]) -> list[tuple[int, int, int]]:
    """Return a segment's rows that are related to a query: (query, first, end)."""
    return [
        (query, sample.first, sample.end)
        for query, sample in samples
        if sample.video.segment == name
    ]
