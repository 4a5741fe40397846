# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Searches speech in all videos of one state of an index."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.search.manifest import Said, Video
from mmv_tf.search.speech import Range, SpeechPart, best_passages
from mmv_tf.search.store import Index
from mmv_tf.search.words import Unit
from mmv_tf.util.sqlite import has_fts5

# Ours: with more videos to search in, all are searched and the others are filtered out.
_MOST_RANGES = 20


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A passage in a video.

    Attributes:
      video: the video's name.
      start, end: seconds.
      score: see `speech.Passage`.
      text: what is said, in one line without control characters.
      transcribed: whether it was transcribed by a model, and may be incorrect.
    """

    video: str
    start: float
    end: float
    score: float
    text: str
    transcribed: bool


class Narrations:
    """Speech in an index's videos; thread-safe.

    Args:
      index: the index.
    """

    def __init__(self, index: Index):
        self._parts: dict[str, SpeechPart] = {}
        self._paths = index.speech
        by_part: dict[str, list[tuple[Said, Video]]] = collections.defaultdict(list)
        for video in index.manifest.videos:
            if video.said is not None and video.said.count:
                by_part[video.said.part].append((video.said, video))
        for said in by_part.values():
            said.sort(key=lambda one: one[0].first)
        self._by_part: Mapping[str, Sequence[tuple[Said, Video]]] = by_part
        self._firsts = {
            name: np.array([said.first for said, _ in found]) for name, found in by_part.items()
        }
        self._ends = {
            name: np.array([said.first + said.count for said, _ in found])
            for name, found in by_part.items()
        }
        self._searchable = bool(by_part) and has_fts5()

    def __bool__(self) -> bool:
        """Return whether there is speech that can be searched: SQLite may lack FTS5."""
        return self._searchable

    def search(
        self, units: Sequence[Unit], only: Callable[[str], bool] | None = None
    ) -> Iterator[Spoken]:
        """Yield the passages with words from a query, best first, without duplicates.

        Args:
          units: see `words.units`.
          only: returns whether to search in a video, by its name; by default, all are searched.

        Raises:
          ValueError: a file is damaged, or SQLite lacks FTS5.
        """
        parts = {name: self._part(name) for name in self._by_part}
        ranges = None if only is None else self._ranges(only)
        shown: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
        for passage in best_passages(parts, units, self._alive, ranges):
            said, video = self._by_part[passage.part][self._place(passage.part, passage.row)]
            if only is not None and not only(video.name):
                continue
            rows = min(passage.rows, said.first + said.count - passage.row)
            cues = parts[passage.part].cues(passage.row, rows)
            start, end = cues[0].start, min(max(cue.end for cue in cues), video.duration)
            if start >= end or any(start < b and end > a for a, b in shown[video.name]):
                continue  # It is after the end of the film, or overlaps a better passage.
            shown[video.name].append((start, end))
            text = " ".join(cue.text for cue in cues)
            yield Spoken(video.name, start, end, passage.score, text, bool(said.transcriber))

    def cues(self, video: Video, start: float, end: float) -> list[Caption]:
        """Return the cues for a part of a video, in time order.

        Raises:
          ValueError: a file is damaged, or SQLite lacks FTS5.
        """
        if video.said is None or not video.said.count:
            return []
        cues = self._part(video.said.part).cues(video.said.first, video.said.count)
        return [cue for cue in cues if cue.start < end and cue.end > start]

    def _ranges(self, only: Callable[[str], bool]) -> dict[str, list[Range]] | None:
        """Return the rows of the given videos, or None if there are many."""
        found = {
            name: [
                (said.first, said.first + said.count) for said, video in videos if only(video.name)
            ]
            for name, videos in self._by_part.items()
        }
        return found if sum(map(len, found.values())) <= _MOST_RANGES else None

    def _part(self, name: str) -> SpeechPart:
        if name not in self._parts:
            self._parts[name] = SpeechPart(self._paths[name])
        return self._parts[name]

    def _place(self, part: str, row: int) -> int:
        return int(np.searchsorted(self._firsts[part], row, side="right")) - 1

    def _alive(self, part: str, rows: np.ndarray) -> np.ndarray:
        """Return which rows belong to a video in the index."""
        places = np.searchsorted(self._firsts[part], rows, side="right") - 1
        return (places >= 0) & (rows < self._ends[part][places])
