# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sentences with the moments found for them, correct and incorrect."""

from __future__ import annotations

import base64
import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.data.media import iter_frames_at
from mmv_tf.evaluation.retrieval import normalize
from mmv_tf.quickstart.report.results import Run

# Number of moments to show per sentence.
BEST = 4
_THUMBNAIL_SIDE = 120


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment found for a sentence.

    Attributes:
      start, end: position in the film, in seconds.
      caption: the moment's narration.
      place: rank, 1 for the best.
      score: cosine between the sentence and the clip.
      is_right: whether the sentence is this moment's narration; None if unknown.
    """

    start: float
    end: float
    caption: str
    place: int
    score: float
    is_right: bool | None = None

    @property
    def middle(self) -> float:
        """The time of its image, in seconds."""
        return (self.start + self.end) / 2


@dataclasses.dataclass(frozen=True)
class Query:
    """A sentence and the moments found for it, best first.

    Attributes:
      sentence: the sentence.
      moments: the best moments; then the correct moment, if it is not among them.
      rank: the correct moment's rank, from 1; None if unknown. Ties count against it.
      count: number of moments that were searched.
    """

    sentence: str
    moments: list[Moment]
    rank: int | None
    count: int


def narrations(run: Run) -> list[Query]:
    """Return every test narration, in film order, with the test clips found for it."""
    test = run.test_clips()
    similarity = normalize(test["text/vat"], "text") @ normalize(test["video/vat"], "video").T
    count = len(similarity)
    queries = []
    for sentence, scores in enumerate(similarity):
        rank = int((scores >= scores[sentence]).sum())
        # The correct clip comes after clips with the same score.
        order = np.lexsort((np.arange(count) == sentence, -scores)).tolist()
        shown = order[:BEST] if rank <= BEST else [*order[:BEST], sentence]
        queries.append(
            Query(
                str(test["captions"][sentence]),
                [
                    Moment(
                        float(test["starts"][clip]),
                        float(test["ends"][clip]),
                        str(test["captions"][clip]),
                        rank if clip == sentence else place,
                        float(scores[clip]),
                        clip == sentence,
                    )
                    for place, clip in enumerate(shown, 1)
                ],
                rank,
                count,
            )
        )
    return queries


def answers(run: Run) -> list[Query]:
    """Return the sentences given to the exported model, with the test clips that it found."""
    count = int(run.embeddings["is_test"].sum())

    def moment(place: int, found: dict[str, Any]) -> Moment:
        return Moment(found["start"], found["end"], found["caption"], place, found["score"])

    return [
        Query(
            answer["sentence"],
            [moment(place, found) for place, found in enumerate(answer["moments"][:BEST], 1)],
            None,
            count,
        )
        for answer in run.asked["answers"]
    ]


def thumbnails(film: pathlib.Path, queries: Sequence[Query]) -> dict[float, bytes]:
    """Return the middle frame of each moment, time -> JPEG."""
    times = sorted({moment.middle for query in queries for moment in query.moments})
    frames = iter_frames_at(film, times, _THUMBNAIL_SIDE)
    return {time: jpeg for time, (_, jpeg) in zip(times, frames, strict=True)}


def data_address(jpeg: bytes) -> str:
    """Return a JPEG image as a data URL, for a self-contained page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def film_address(film: pathlib.Path, page: pathlib.Path) -> str:
    """Return the film's URL relative to the page."""
    relative = os.path.relpath(film.resolve(), page.resolve().parent)
    return urllib.parse.quote(pathlib.PurePath(relative).as_posix())
