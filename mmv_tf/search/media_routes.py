# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Routes of the page for videos and thumbnails by id; no URL contains a path.

An id stands for a video in the index. Each request resolves its name, following links, and the
result must be inside the indexed folder.
"""

from __future__ import annotations

import functools
import mimetypes
import pathlib

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.files import inside
from mmv_tf.search.manifest import Video
from mmv_tf.search.searcher import Searcher

# Ours.
_THUMBNAIL_SIDE = 180
_THUMBNAILS = 2048
mimetypes.add_type("video/x-matroska", ".mkv")


def routes(searcher: Searcher, decoder: Decoder) -> list[Route]:
    """Return GET /media/ID, which serves ranges too, and GET /thumbnail/ID?t=SECONDS."""

    @functools.lru_cache(maxsize=_THUMBNAILS)
    def thumbnails(path: str, mtime_ns: int, time: float) -> bytes:
        del mtime_ns  # a key of the cache
        jpeg: bytes = decoder.call(_thumbnail, path, path, time)
        return jpeg

    def find(request: Request) -> tuple[pathlib.Path, Video] | None:
        try:
            found = searcher.video(request.path_params["key"])
            return None if found is None else (inside(found[0], found[1].name), found[1])
        except (OSError, ValueError):
            return None  # The index or the file was deleted, or is now a link to elsewhere.

    async def video(request: Request) -> Response:
        found = await run_in_threadpool(find, request)
        if found is None:
            return _missing()
        kind, _ = mimetypes.guess_type(found[0].name)
        if kind is None or not kind.startswith("video/"):
            kind = "application/octet-stream"
        return FileResponse(found[0], media_type=kind, headers={"Cache-Control": "no-cache"})

    async def thumbnail(request: Request) -> Response:
        found = await run_in_threadpool(find, request)
        if found is None:
            return _missing()
        try:
            time = min(max(0.0, float(request.query_params.get("t", "0"))), found[1].duration)
            version = found[1].mtime_ns
            jpeg = await run_in_threadpool(thumbnails, str(found[0]), version, round(time, 1))
        except (ValueError, OSError):
            return _missing()
        return Response(
            jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
        )

    return [Route("/media/{key}", video), Route("/thumbnail/{key}", thumbnail)]


def narration(root: pathlib.Path, video: Video, start: float, end: float) -> str:
    """Return the captions of a moment as one string, empty without captions."""
    if video.captions is None:
        return ""
    try:
        path = pathlib.Path(video.captions)
        # A file given by the user may be anywhere; one that was found is in the folder.
        path = path if path.is_absolute() else inside(root, video.captions)
        known = _captions(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return ""
    return " ".join(c.text for c in known if c.start < end and c.end > start)


@functools.lru_cache(maxsize=256)
def _captions(path: pathlib.Path, mtime_ns: int) -> list[captions_lib.Caption]:
    del mtime_ns  # a key of the cache
    return captions_lib.read_captions(path)


def _thumbnail(path: str, time: float) -> bytes:
    return next(media.iter_frames_at(path, [time], _THUMBNAIL_SIDE, jpeg_quality=80))[1]


def _missing() -> Response:
    return PlainTextResponse("There is no such video.\n", 404)
