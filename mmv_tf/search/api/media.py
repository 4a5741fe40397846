# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Serves videos and thumbnails by id; no URL contains a path.

An id identifies a video in the index. Each request resolves the video's name, following links, and
the result must lie inside its indexed folder.
"""

from __future__ import annotations

import functools
import mimetypes
import pathlib

from starlette.responses import FileResponse, JSONResponse, Response

from mmv_tf.data import media
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.manifest import Video
from mmv_tf.search.searcher import Searcher

# Ours.
_THUMBNAIL_SIDE = 180
_THUMBNAILS = 2048
mimetypes.add_type("video/x-matroska", ".mkv")


class Media:
    """Serves videos and thumbnails by id; thread-safe.

    Args:
      searcher: the index.
      decoder: decodes thumbnails in child processes.
    """

    def __init__(self, searcher: Searcher, decoder: Decoder):
        self._searcher = searcher

        @functools.lru_cache(maxsize=_THUMBNAILS)
        def thumbnails(path: str, mtime_ns: int, time: float) -> bytes:
            del mtime_ns  # a key of the cache
            jpeg: bytes = decoder.call(_thumbnail, path, path, time)
            return jpeg

        self._thumbnails = thumbnails

    def _find(self, key: str) -> tuple[pathlib.Path, Video] | None:
        try:
            found = self._searcher.video(key)
            return None if found is None else (found[0].inside(found[1].name), found[1])
        except (OSError, ValueError):
            return None  # The index or file was deleted, or is now a link that leads elsewhere.

    def video(self, key: str) -> Response:
        """Return a whole video, or the requested part."""
        found = self._find(key)
        if found is None:
            return _missing()
        kind, _ = mimetypes.guess_type(found[0].name)
        if kind is None or not kind.startswith("video/"):
            kind = "application/octet-stream"
        return FileResponse(found[0], media_type=kind, headers={"Cache-Control": "no-cache"})

    def thumbnail(self, key: str, time: float) -> Response:
        """Return the frame at a time in seconds, clamped to the video."""
        found = self._find(key)
        if found is None:
            return _missing()
        try:
            time = min(max(0.0, time), found[1].duration)
            version = found[1].mtime_ns
            jpeg = self._thumbnails(str(found[0]), version, round(time, 1))
        except (ValueError, OSError):
            return _missing()
        return Response(
            jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
        )


def _thumbnail(path: str, time: float) -> bytes:
    return next(media.iter_frames_at(path, [time], _THUMBNAIL_SIDE, jpeg_quality=80))[1]


def _missing() -> Response:
    return JSONResponse({"error": "There is no such video, or it can't be read."}, 404)
