# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Handlers for the API's endpoints."""

from __future__ import annotations

import dataclasses
import pathlib
import urllib.parse
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mmv_tf.data.media import MediaError
from mmv_tf.search.api.clips import ClipResponse, Clips
from mmv_tf.search.api.endpoints import ENDPOINTS
from mmv_tf.search.api.errors import (
    UNAVAILABLE,
    UNPROCESSABLE,
    UNSUPPORTED,
    ApiError,
    bad_request,
)
from mmv_tf.search.api.filters import Filters
from mmv_tf.search.api.lanes import Lane
from mmv_tf.search.api.library import Json, Library
from mmv_tf.search.api.media import Media
from mmv_tf.search.api.openapi import document
from mmv_tf.search.api.requests import read_body, read_json, read_query
from mmv_tf.search.api.searching import LIMIT, MOST_LIMIT, MOST_MOMENTS, MOST_QUERIES, Searches
from mmv_tf.search.api.tokens import COOKIE, cookie
from mmv_tf.search.api.uploads import Uploads
from mmv_tf.search.chosen import Chosen
from mmv_tf.search.cutting import EXACT, MOST_SECONDS, clip_name
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.edit_lists import (
    FORMATS,
    MEDIA_TYPES,
    MOST_ENTRIES,
    entries_of,
    list_bytes,
    read_film,
)
from mmv_tf.search.manifest import Video
from mmv_tf.search.page_settings import PageSettings
from mmv_tf.search.queries import Query, kind_of_bytes
from mmv_tf.search.queries import read_query as decode
from mmv_tf.search.searcher import Searcher
from mmv_tf.util.text_files import printable_name

# Ours. A search uses both cores of a small machine; concurrent searches would only share them.
_SEARCH_THREADS, _SEARCHES_WAITING = 2, 32
_UPLOAD_THREADS, _UPLOADS_WAITING = 2, 16
_LIST_THREADS, _LISTS_WAITING = 4, 64
_PICTURE_THREADS, _PICTURES_WAITING = 4, 256  # a results page requests dozens at once
CUTTERS, _CLIPS_WAITING = 2, 8
# Ours: uploads kept, as multiples of the largest upload.
_UPLOADS_KEPT = 4
_MOST_LISTED = 1000


class Handlers:
    """Handlers, one for each endpoint in the table, by its name.

    Args:
      searcher: the index.
      settings: the server's settings.
      decoder: decodes files in child processes.
      cutter: cuts clips in child processes, which takes longer.
    """

    def __init__(
        self, searcher: Searcher, settings: PageSettings, decoder: Decoder, cutter: Decoder
    ):
        self._searcher = searcher
        self._settings = settings
        self._decoder = decoder
        self._uploads = Uploads(_UPLOADS_KEPT * settings.max_upload_bytes)
        self.library = Library(searcher)
        self._searches = Searches(self.library, self._uploads, self._decode)
        self._media = Media(searcher, decoder)
        self._searching = Lane("searches", _SEARCH_THREADS, _SEARCHES_WAITING)
        self._uploading = Lane("uploads", _UPLOAD_THREADS, _UPLOADS_WAITING)
        self._clips = Clips(cutter)
        self._cutting = Lane("clips", CUTTERS, _CLIPS_WAITING)
        self._picturing = Lane("pictures", _PICTURE_THREADS, _PICTURES_WAITING)
        self._listing = Lane("requests", _LIST_THREADS, _LISTS_WAITING)
        self._endpoints = {endpoint.name: endpoint for endpoint in ENDPOINTS}

    def close(self) -> None:
        """Wait for running work."""
        for lane in (
            self._searching,
            self._uploading,
            self._cutting,
            self._picturing,
            self._listing,
        ):
            lane.close()
        self._clips.close()

    def _decode(self, query: Query, windows: Any) -> Any:
        return self._decoder.call(decode, query.name, query, windows)

    def _query(self, request: Request, name: str) -> dict[str, Any]:
        return read_query(request, self._endpoints[name])

    async def index(self, request: Request) -> Response:
        """GET /index."""
        self._query(request, "index")
        about = await self._listing.run(self.library.about)
        limits = {
            "upload_bytes": self._settings.max_upload_bytes,
            "results": MOST_LIMIT,
            "page": min(self._settings.results, MOST_LIMIT),
            "moments": MOST_MOMENTS,
            "queries": MOST_QUERIES,
            "clip_seconds": MOST_SECONDS,
        }
        return JSONResponse({**about, "limits": limits})

    async def search(self, request: Request) -> Response:
        """POST /search."""
        self._query(request, "search")
        asked = await read_json(request, self._endpoints["search"])
        return await self._answer(asked)

    async def search_words(self, request: Request) -> Response:
        """GET /search?q=..."""
        asked = self._query(request, "search_words")
        return await self._answer({"queries": [{"text": asked.pop("q")}], **asked})

    async def _answer(self, asked: Json) -> Response:
        asked.setdefault("limit", min(self._settings.results, MOST_LIMIT) or LIMIT)
        return JSONResponse(await self._searching.run(self._searches.search, asked))

    async def upload(self, request: Request) -> Response:
        """POST /uploads."""
        self._query(request, "upload")
        name = urllib.parse.unquote(request.headers.get("x-filename", "")) or "the file"
        name = printable_name(" ".join(name.split()))[:100]
        data = await read_body(request, self._settings.max_upload_bytes)
        if not data:
            raise bad_request("The body is empty; expected the bytes of a file.")
        upload = await self._uploading.run(self._take, name, data)
        return JSONResponse({"id": upload.key, "kind": upload.kind, "name": upload.name}, 201)

    def _take(self, name: str, data: bytes) -> Any:
        try:
            kind = self._decoder.call(kind_of_bytes, name, data, name)
        except MediaError as error:
            raise ApiError(UNPROCESSABLE, str(error)) from None
        except OSError:
            raise ApiError(UNAVAILABLE, "Busy with other files; try again later.") from None
        accepts = self._searcher.accepts
        if kind not in accepts:
            raise ApiError(
                UNSUPPORTED, f"The model has no {kind} input; it accepts {', '.join(accepts)}."
            )
        return self._uploads.add(kind, name, data)

    async def videos(self, request: Request) -> Response:
        """GET /videos."""
        asked = self._query(request, "videos")
        limit = asked.get("limit", 100)
        if not 1 <= limit <= _MOST_LISTED:
            raise bad_request(f"limit is {limit}; expected 1 to {_MOST_LISTED}.")
        names = {field.name for field in dataclasses.fields(Filters)}
        filters = Filters.parse({name: asked[name] for name in names & asked.keys()})
        return JSONResponse(
            await self._listing.run(
                self.library.videos, filters, asked.get("state"), asked.get("offset", 0), limit
            )
        )

    async def video(self, request: Request) -> Response:
        """GET /videos/ID."""
        self._query(request, "video")
        return JSONResponse(
            await self._listing.run(self.library.video, request.path_params["video"])
        )

    async def media(self, request: Request) -> Response:
        """GET /videos/ID/media."""
        self._query(request, "media")
        return await self._listing.run(self._media.video, request.path_params["video"])

    async def thumbnail(self, request: Request) -> Response:
        """GET /videos/ID/thumbnail."""
        time = self._query(request, "thumbnail").get("t", 0.0)
        return await self._picturing.run(self._media.thumbnail, request.path_params["video"], time)

    async def clip(self, request: Request) -> Response:
        """GET /moments/ID/clip."""
        mode = self._query(request, "clip").get("mode", EXACT)
        return await self._cutting.run(self._cut, request.path_params["moment"], mode)

    def _cut(self, key: str, mode: str) -> Response:
        moment, folders, video = self.library.moment(key)
        path = self.library.path(folders, video)
        name = printable_name(video.name)
        descriptor, clip = self._clips.open(path, name, moment.start, moment.end, mode)
        headers = {
            "X-Clip-Start": f"{clip.start:.3f}",
            "X-Clip-End": f"{clip.end:.3f}",
            "Cache-Control": "private, max-age=3600",
        }
        return ClipResponse(descriptor, clip_name(name, clip.start, clip.end), headers)

    async def lists(self, request: Request) -> Response:
        """POST /lists."""
        self._query(request, "lists")
        asked = await read_json(request, self._endpoints["lists"])
        data = await self._listing.run(self._list, asked)
        suffix = asked["format"]
        headers = {"Content-Disposition": f'attachment; filename="moments.{suffix}"'}
        return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)

    def _list(self, asked: Json) -> bytes:
        if len(asked["moments"]) > MOST_ENTRIES:
            raise bad_request(
                f"Got {len(asked['moments'])} moments; expected at most {MOST_ENTRIES}."
            )
        if asked["format"] not in FORMATS:
            raise bad_request(
                f"format is {asked['format'][:40]!r}; expected one of {', '.join(FORMATS)}."
            )
        chosen = []
        folders = self.library.open().manifest.folders
        for key in asked["moments"]:
            moment, folders, video = self.library.moment(key)
            chosen.append(Chosen(video, moment.start, moment.end))

        def path_of(video: Video) -> pathlib.Path:
            return self.library.path(folders, video)

        def read(path: pathlib.Path, name: str) -> dict[str, Any]:
            try:
                facts: dict[str, Any] = self._decoder.call(read_film, name, str(path))
                return facts
            except MediaError as error:
                raise ApiError(UNPROCESSABLE, str(error).replace(str(path), name)) from None
            except OSError:
                raise ApiError(UNAVAILABLE, "Busy with other files; try again later.") from None

        entries = entries_of(chosen, folders, read, path_of, self.library.captions, hidden=True)
        title = asked.get("title", "Moments")
        try:
            return list_bytes(asked["format"], title, entries, asked.get("frame_rate"))
        except ValueError as error:
            raise bad_request(str(error)) from None

    async def session(self, request: Request) -> Response:
        """POST /session, whose token has already been checked."""
        self._query(request, "session")
        response = Response(status_code=204)
        if self._settings.token is not None:
            response.set_cookie(
                COOKIE,
                cookie(self._settings.token),
                path="/api/",
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
        return response

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json."""
        self._query(request, "openapi")
        return JSONResponse(document(self._settings.token is not None))
