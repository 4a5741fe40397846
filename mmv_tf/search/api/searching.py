# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The API's searches: from a request's JSON to the answer's JSON."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.search.api.errors import (
    NOT_FOUND,
    UNAVAILABLE,
    UNPROCESSABLE,
    UNSUPPORTED,
    ApiError,
    bad_request,
)
from mmv_tf.search.api.filters import Filters
from mmv_tf.search.api.library import PREFIX, Json, Library, Read, addresses, logger, modalities
from mmv_tf.search.api.uploads import Uploads
from mmv_tf.search.confidence import word
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.files import video_id
from mmv_tf.search.labels import LabelFilter, parse_label
from mmv_tf.search.moment_ids import MomentId
from mmv_tf.search.moments import Moment, Place
from mmv_tf.search.queries import SPEECH, TEXT, Query
from mmv_tf.search.searcher import Answer
from mmv_tf.search.similar import Similar
from mmv_tf.search.store import MissingIndex
from mmv_tf.util.text_files import printable_name

# Ours, as are the limits below: a page shows a few dozen results at a time.
MOST_MOMENTS = 1000
MOST_QUERIES = 16
MOST_LABELS = 16
LIMIT, MOST_LIMIT = 12, 100
# Moments per film, if moments are grouped by film.
_MOST_OF_FILM = 6
_MOST_POINTS = 300
FILM = "film"
_Search = Callable[[int], Answer]


class Searches:
    """Answers searches; thread-safe.

    Args:
      library: the index.
      uploads: files that queries may refer to.
      read: decodes files; see `embed_query`.
    """

    def __init__(self, library: Library, uploads: Uploads, read: Read | None = None):
        self._library = library
        self._uploads = uploads
        self._read = read

    def search(self, asked: Mapping[str, Any]) -> Json:
        """Return the answer to a type-checked request.

        Raises:
          ApiError: the request can't be answered.
        """
        offset, limit = asked.get("offset", 0), asked.get("limit", LIMIT)
        if not 1 <= limit <= MOST_LIMIT:
            raise bad_request(f"limit is {limit}; expected 1 to {MOST_LIMIT}.")
        if offset + limit > MOST_MOMENTS:
            raise bad_request(
                f"offset + limit is {offset + limit}; expected at most {MOST_MOMENTS}."
            )
        if asked.get("group") not in (None, FILM):
            raise bad_request(f"group is {asked['group']!r}; expected {FILM!r} or null.")
        find, known = self._prepare(asked)
        least = asked.get("min_score")
        if least is not None and not 0 <= least <= 1:
            raise bad_request(f"min_score is {least}; expected a confidence from 0 to 1.")

        def others(answer: Answer) -> Answer:
            """Return the answer without the moments used as queries."""
            moments = (m for m in answer.moments if not any(_overlap(m, one) for one in known))
            return dataclasses.replace(answer, moments=tuple(moments))

        def keep(answer: Answer) -> list[Moment]:
            kept = others(answer)
            return list((kept if least is None else kept.at_least(least)).moments)

        spare = len(known) + 1
        if asked.get("group") == FILM:
            answer, moments, more = _by_film(find, keep, offset, limit, spare)
        else:
            answer = find(offset + limit + spare)
            kept = keep(answer)
            moments, more = kept[offset : offset + limit], len(kept) > offset + limit
        shown = [
            dressed
            for moment in moments
            if (dressed := self._dress(moment, answer, bool(asked.get("curves")))) is not None
        ]
        return {
            "moments": shown,
            "more": more,
            "approximate": answer.approximate,
            "unknown_words": list(answer.unknown_words),
            "nothing": others(answer).nothing or (not moments and offset == 0),
        }

    def _prepare(self, asked: Mapping[str, Any]) -> tuple[_Search, list[Similar]]:
        """Return the search as a function of the moment count, and the moments used as queries."""
        library = self._library
        manifest = library.open().manifest
        within = asked.get("within")
        if within is not None and within not in modalities(manifest):
            raise bad_request(
                f"within is {within!r}; this index has {', '.join(modalities(manifest))}."
            )
        entries = asked.get("queries", [])
        if len(entries) > MOST_QUERIES:
            raise bad_request(f"Got {len(entries)} queries; expected at most {MOST_QUERIES}.")
        if len(asked.get("labels", [])) > MOST_LABELS:
            raise bad_request(f"Got {len(asked['labels'])} labels; expected at most {MOST_LABELS}.")
        labels: list[LabelFilter] = []
        try:
            for text in asked.get("labels", []):
                there = manifest.labels
                label = parse_label(text, () if there is None else there.names)
                label.column(there, "this index")
                labels.append(label)
            queries = [self._query(entry, within) for entry in entries]
        except ValueError as error:
            raise bad_request(str(error)) from None
        if not queries and not labels:
            raise bad_request("There is no query; give text, an upload, a moment or a label.")
        if any(query.within != SPEECH for query in queries):
            self._check_model()
        filters = Filters.parse(asked.get("filters") or {})
        only = None if filters.is_empty else lambda video: filters.allows(video, video.duration)
        known = [query for query in queries if isinstance(query, Similar) and query.weight > 0]
        return functools.partial(self._find, queries, labels, only), known

    def _query(self, entry: Mapping[str, Any], within: str | None) -> Query | Similar:
        kinds = [kind for kind in ("text", "upload", "moment") if kind in entry]
        if len(kinds) != 1:
            raise bad_request("A query must have exactly one of text, upload and moment.")
        weight = float(entry.get("weight", 1.0))
        if kinds == ["text"]:
            return Query(TEXT, entry["text"], weight, within)
        if kinds == ["moment"]:
            moment, _, video = self._library.moment(entry["moment"])
            heard = SOUND if within == SOUND else VISION
            return Similar(video.name, moment.start, moment.end, weight, heard)
        upload = self._uploads.get(entry["upload"])
        if upload is None:
            raise ApiError(
                NOT_FOUND, f"The upload {entry['upload'][:40]!r} no longer exists; send it again."
            )
        return Query(upload.kind, upload.data, weight, within, upload.name)

    def _check_model(self) -> None:
        try:
            self._library.searcher.embedder()
        except (ValueError, OSError) as error:
            logger.error("%s", error)
            raise ApiError(
                UNAVAILABLE, "The index's model can't be used; see the server's log."
            ) from None

    def _find(
        self,
        queries: Sequence[Query | Similar],
        labels: Sequence[LabelFilter],
        only: Callable[[Any], bool] | None,
        count: int,
    ) -> Answer:
        accepts = self._library.searcher.accepts
        for query in queries:
            if isinstance(query, Query) and query.kind not in accepts:
                raise ApiError(
                    UNSUPPORTED,
                    f"The model has no {query.kind} input; it accepts {', '.join(accepts)}.",
                )
        try:
            return self._library.searcher.search(queries, count, self._read, labels, only)
        except MissingIndex:
            raise ApiError(UNAVAILABLE, "The index was deleted.") from None
        except ValueError as error:
            if str(self._library.searcher.directory) in str(error):  # not the client's fault
                logger.error("%s", error)
                raise ApiError(
                    UNAVAILABLE, "The index can't be read; see the server's log."
                ) from None
            raise ApiError(UNPROCESSABLE, str(error)) from None
        except OSError as error:
            logger.error("%s", error)
            raise ApiError(UNAVAILABLE, "The search failed; try again later.") from None

    def _dress(self, moment: Moment, answer: Answer, curve: bool) -> Json | None:
        """Return a moment for the client, or None if the index has just lost its video."""
        found = self._library.searcher.video(video_id(moment.video))
        if found is None:
            return None
        folders, video = found
        key = MomentId.of(video.name, moment.start, moment.end)
        shown: Json = {
            "id": str(key),
            "video": {
                "id": key.video,
                "name": printable_name(video.name),
                "seconds": video.duration,
            },
            "start": round(moment.start, 3),
            "end": round(moment.end, 3),
            "best": round(moment.best, 3),
            "score": round(moment.score, 5),
            "confidence": None
            if moment.confidence is None
            else {"word": word(moment.confidence), "value": round(moment.confidence, 3)},
            "found": [dataclasses.asdict(evidence) for evidence in moment.found],
            "captions": [
                {"start": cue.start, "end": cue.end, "text": cue.text}
                for cue in self._library.captions(folders, video, moment.start, moment.end)
            ],
            "also": [_place(place) for place in moment.also],
            **addresses(key.video, moment.best),
            "clip": f"{PREFIX}/moments/{key}/clip",
        }
        if curve:
            scores, spans = self._library.searcher.curve(
                moment.video, answer.asked, answer.required
            )
            shown["curve"] = curve_points(scores, spans)
        return shown


def _place(place: Place) -> Json:
    key = MomentId.of(place.video, place.start, place.end)
    return {
        "id": str(key),
        "video": {"id": key.video, "name": printable_name(place.video)},
        "start": round(place.start, 3),
        "end": round(place.end, 3),
    }


def curve_points(scores: np.ndarray, spans: np.ndarray) -> dict[str, list[float]]:
    """Return a curve of at most 300 points (ours) that keeps all peaks.

    Args:
      scores: float32 [n], -inf for windows that are excluded from the search, which are left out.
      spans: float32 [n, 2], in seconds.
    """
    there = np.isfinite(scores)
    times, values = spans[there].mean(axis=1), scores[there]
    if len(values) > _MOST_POINTS:
        groups = np.array_split(np.arange(len(values)), _MOST_POINTS)
        tops = [group[np.argmax(values[group])] for group in groups]
        times, values = times[tops], values[tops]
    return {
        "times": [round(float(time), 2) for time in times],
        "scores": [round(float(value), 4) for value in values],
    }


def _by_film(
    find: _Search, keep: Callable[[Answer], list[Moment]], offset: int, limit: int, spare: int
) -> tuple[Answer, list[Moment], bool]:
    """Return moments grouped by film; offset and limit count films."""
    count = 4 * (offset + limit) + spare
    while True:
        answer = find(count)
        films: dict[str, list[Moment]] = {}
        for moment in keep(answer):
            films.setdefault(moment.video, []).append(moment)
        whole = len(answer.moments) < count or count >= MOST_MOMENTS
        if len(films) > offset + limit or whole:
            break
        count = min(4 * count, MOST_MOMENTS)
    chosen = list(films.values())[offset : offset + limit]
    moments = [moment for film in chosen for moment in film[:_MOST_OF_FILM]]
    return answer, moments, len(films) > offset + limit


def _overlap(moment: Moment, other: Similar) -> bool:
    same = moment.video == other.video
    return same and moment.start < other.end and moment.end > other.start
