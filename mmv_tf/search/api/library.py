# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers about an index as plain JSON values, shared by HTTP, MCP and programs."""

from __future__ import annotations

import datetime
import logging
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.inference.windows import Windows
from mmv_tf.search.api.errors import NOT_FOUND, UNAVAILABLE, ApiError, bad_request
from mmv_tf.search.api.examples import examples
from mmv_tf.search.api.filters import Filters
from mmv_tf.search.captions import captions_between
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.files import video_id
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Manifest, Skipped, Video
from mmv_tf.search.moment_ids import MomentId
from mmv_tf.search.queries import ALL, SPEECH, TEXT, Query
from mmv_tf.search.searcher import Searcher
from mmv_tf.search.store import Index, MissingIndex
from mmv_tf.util.text_files import printable_name

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Read = Callable[[Query, Windows], np.ndarray]
_Listed = tuple[Video | Skipped, Json]
PREFIX = "/api/v1"


class Library:
    """The content of an index; thread-safe.

    Args:
      searcher: the index.
    """

    def __init__(self, searcher: Searcher):
        self.searcher = searcher
        self._listed: tuple[int, list[_Listed], list[str]] | None = None
        self._examples: tuple[int, list[str]] | None = None

    def open(self) -> Index:
        """Return the index's newest state.

        Raises:
          ApiError: there is no index, or it is damaged.
        """
        try:
            return self.searcher.open()
        except MissingIndex:
            raise ApiError(UNAVAILABLE, "There is no index yet; create one, then search.") from None
        except (ValueError, OSError) as error:
            logger.error("%s", error)
            raise ApiError(UNAVAILABLE, "The index can't be read; see the server's log.") from None

    def about(self) -> Json:
        """Return the index's content and its supported queries."""
        manifest = self.open().manifest
        labels = manifest.labels
        return {
            "videos": len(manifest.videos),
            "windows": manifest.rows,
            "skipped": len(manifest.skipped),
            "generation": manifest.generation,
            "accepts": list(self.searcher.accepts),
            "within": list(modalities(manifest)),
            "labels": [] if labels is None else list(labels.names),
            "examples": self._example_sentences(manifest),
        }

    def _example_sentences(self, manifest: Manifest) -> list[str]:
        """Return example sentences; kept until the index changes."""
        kept = self._examples
        if kept is None or kept[0] != manifest.generation:
            found = examples(
                manifest.videos,
                lambda video: self.captions(manifest.folders, video, 0.0, math.inf),
                self._known,
            )
            kept = self._examples = manifest.generation, found
        return kept[1]

    def _known(self, sentences: list[str]) -> list[bool]:
        try:
            embedder = self.searcher.embedder()
        except (ValueError, OSError):
            return [False] * len(sentences)
        if TEXT not in embedder.accepts:
            return [TEXT in self.searcher.accepts] * len(sentences)
        return [bool(known) for known in embedder.encoder.network.known(sentences)]

    def moment(self, text: str) -> tuple[MomentId, Folders, Video]:
        """Return a moment, with times inside the video, the index's folders and the video.

        Raises:
          ApiError: the id is malformed, or the index has no such video.
        """
        try:
            moment = MomentId.parse(text)
        except ValueError as error:
            raise bad_request(str(error)) from None
        folders, video = self.found(moment.video)
        end = min(moment.end, max(video.duration, 0.001))
        if moment.start >= end:
            raise bad_request(
                f"The moment starts at {moment.start:g} s, but the video ends at {end:.3f} s."
            )
        return MomentId(moment.video, moment.start, end), folders, video

    def found(self, key: str) -> tuple[Folders, Video]:
        """Return the index's folders, and the video with this id.

        Raises:
          ApiError: the index has no such video.
        """
        self.open()
        found = self.searcher.video(key)
        if found is None:
            raise ApiError(NOT_FOUND, f"The index has no video {key[:40]!r}.")
        return found

    def path(self, folders: Folders, video: Video) -> pathlib.Path:
        """Return a video's file.

        Raises:
          ApiError: the file was deleted, or is now a link that leads elsewhere.
        """
        try:
            return folders.inside(video.name)
        except (OSError, ValueError):
            raise ApiError(
                NOT_FOUND,
                f"The file {printable_name(video.name)} no longer exists; update the index.",
            ) from None

    def videos(
        self, filters: Filters, state: str | None = None, offset: int = 0, limit: int = 100
    ) -> Json:
        """Return one page of the video list, sorted by name.

        Args:
          filters: videos to list.
          state: "indexed" or "skipped"; None for both.
          offset, limit: position and size of the page.
        """
        manifest = self.open().manifest
        listed, folders = self._entries(manifest)
        entries = [
            entry
            for file, entry in listed
            if state in (None, entry["state"])
            and (filters.is_empty or filters.allows(file, entry.get("seconds")))
        ]
        return {
            "total": len(entries),
            "videos": entries[offset : offset + limit],
            "folders": folders,
        }

    def video(self, key: str) -> Json:
        """Return one video's entry.

        Raises:
          ApiError: there is no such video.
        """
        listed, _ = self._entries(self.open().manifest)
        for _, entry in listed:
            if entry["id"] == key:
                return entry
        raise ApiError(NOT_FOUND, f"The index has no video {key[:40]!r}.")

    def _entries(self, manifest: Manifest) -> tuple[list[_Listed], list[str]]:
        """Return all files with their entries, and all folders; kept until the index changes."""
        listed = self._listed
        if listed is None or listed[0] != manifest.generation:
            indexed = {video.name for video in manifest.videos}
            files: list[Video | Skipped] = [*manifest.videos]
            files += [file for file in manifest.skipped if file.name not in indexed]
            files.sort(key=lambda file: file.name)
            folders = {
                parent.as_posix()
                for file in files
                for parent in pathlib.PurePosixPath(printable_name(file.name)).parents
            }
            entries = [(file, _entry(file, manifest.roots.values())) for file in files]
            listed = manifest.generation, entries, sorted(folders - {"."})
            self._listed = listed
        return listed[1], listed[2]

    def captions(self, folders: Folders, video: Video, start: float, end: float) -> list[Caption]:
        """Return the speech in a part of a video, cue by cue: indexed cues, or its captions."""
        try:
            found = self.searcher.cues(video.name, start, end)
        except (KeyError, ValueError):
            found = []  # the index has just changed, or is damaged
        return found or captions_between(folders, video, start, end)


def modalities(manifest: Manifest) -> tuple[str, ...]:
    """Return what can be searched: modalities of the windows, and speech."""
    kinds = {name.partition(".")[0] for name in manifest.matrices}
    spoken = (SPEECH, ALL) if manifest.speech else ()
    return (*(kind for kind in (VISION, SOUND) if kind in kinds), *spoken)


def _entry(file: Video | Skipped, roots: Iterable[str]) -> Json:
    key = video_id(file.name)
    date = datetime.datetime.fromtimestamp(file.mtime_ns // 10**9, datetime.UTC)
    entry: Json = {
        "id": key,
        "name": printable_name(file.name),
        "date": f"{date:%Y-%m-%dT%H:%M:%SZ}",
        "bytes": file.size,
    }
    if isinstance(file, Skipped):
        reason = file.reason
        for root in roots:
            reason = reason.replace(root.rstrip("/") + "/", "")
        return {**entry, "state": "skipped", "reason": printable_name(reason)}
    return {
        **entry,
        "state": "indexed",
        "seconds": file.duration,
        "windows": file.count,
        "captions": file.captions is not None,
        **addresses(key),
    }


def addresses(key: str, time: float | None = None) -> Mapping[str, str]:
    """Return the URLs of a video and of its thumbnail at `time` (seconds)."""
    at = "" if time is None else f"?t={time:.1f}"
    return {
        "thumbnail": f"{PREFIX}/videos/{key}/thumbnail{at}",
        "media": f"{PREFIX}/videos/{key}/media",
    }
