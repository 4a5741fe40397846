# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of the API's endpoints, from which requests are checked and documented."""

from __future__ import annotations

import dataclasses
from typing import Any

from mmv_tf.search.api.library import PREFIX
from mmv_tf.search.cutting import MODES
from mmv_tf.util.safe_files import NUMBER, Count, Form

RAW = object()  # a body of any bytes
_STRING_OR_NULL, _NUMBER_OR_NULL = (str, None), (*NUMBER, None)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter in a request's URL.

    Attributes:
      form: `str`, `Count` or `float`.
      text: description.
      choices: allowed values; empty for any.
      required: whether the parameter must be given.
    """

    form: Any
    text: str
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
      name: method of `Handlers`.
      method: HTTP method.
      path: path below `PREFIX`, with {parameters}.
      text: description.
      answer: form of the JSON answer, or media type of another answer; None if there is no body.
      query: parameters after the "?".
      body: form of the JSON body, `RAW` for bytes; None if there is no body.
      errors: statuses besides 400, 401, 403, 408, 429 and 503, which any endpoint may return.
      status: status of the answer.
      is_open: whether the endpoint needs no token.
    """

    name: str
    method: str
    path: str
    text: str
    answer: Form
    query: dict[str, Parameter] = dataclasses.field(default_factory=dict)
    body: Form = None
    errors: tuple[int, ...] = ()
    status: int = 200
    is_open: bool = False

    @property
    def address(self) -> str:
        """The complete path."""
        return f"{PREFIX}{self.path}"


_FILTERS = {
    "folder?": _STRING_OR_NULL,
    "file?": _STRING_OR_NULL,
    "min_seconds?": _NUMBER_OR_NULL,
    "max_seconds?": _NUMBER_OR_NULL,
    "after?": _STRING_OR_NULL,
    "before?": _STRING_OR_NULL,
}
_SEARCH = {
    "queries?": [{"text?": str, "upload?": str, "moment?": str, "weight?": NUMBER}],
    "within?": str,
    "labels?": [str],
    "filters?": ({**_FILTERS}, None),
    "limit?": Count,
    "offset?": Count,
    "group?": _STRING_OR_NULL,
    "min_score?": _NUMBER_OR_NULL,
    "curves?": bool,
}
_CAPTION = {"start": NUMBER, "end": NUMBER, "text": str}
_MOMENT = {
    "id": str,
    "video": {"id": str, "name": str, "seconds": NUMBER},
    "start": NUMBER,
    "end": NUMBER,
    "best": NUMBER,
    "score": NUMBER,
    "confidence": ({"word": str, "value": NUMBER}, None),
    "found": [{"kind": str, "score": NUMBER, "text": str, "transcribed": bool}],
    "captions": [_CAPTION],
    "also": [{"id": str, "video": {"id": str, "name": str}, "start": NUMBER, "end": NUMBER}],
    "thumbnail": str,
    "media": str,
    "clip": str,
    "curve?": {"times": [NUMBER], "scores": [NUMBER]},
}
_MOMENTS = {
    "moments": [_MOMENT],
    "more": bool,
    "approximate": bool,
    "unknown_words": [str],
    "nothing": bool,
}
_VIDEO = {
    "id": str,
    "name": str,
    "date": str,
    "bytes": Count,
    "state": str,
    "reason?": str,
    "seconds?": NUMBER,
    "windows?": Count,
    "captions?": bool,
    "thumbnail?": str,
    "media?": str,
}
_INDEX = {
    "videos": Count,
    "windows": Count,
    "skipped": Count,
    "generation": Count,
    "accepts": [str],
    "within": [str],
    "labels": [str],
    "examples": [str],
    "limits": {str: NUMBER},
}
_PAGE = {
    "offset": Parameter(Count, "Number of results to skip."),
    "limit": Parameter(Count, "Maximum number of results."),
}

ENDPOINTS = (
    Endpoint(
        "index", "GET", "/index", "The contents of the index, and the supported queries.", _INDEX
    ),
    Endpoint(
        "search",
        "POST",
        "/search",
        "Moments that match one or several queries together, best first. A query has exactly one "
        "of text, upload (an id from POST /uploads) and moment (to find more like it), and a "
        "weight; a weight below 0 avoids what the query matches.",
        _MOMENTS,
        body=_SEARCH,
        errors=(404, 413, 415, 422),
    ),
    Endpoint(
        "search_words",
        "GET",
        "/search",
        "The same for a single sentence.",
        _MOMENTS,
        query={
            "q": Parameter(str, "The sentence.", required=True),
            "within": Parameter(str, "What to search: see within in GET /index."),
            **_PAGE,
            "group": Parameter(str, "Group by film.", ("film",)),
            "min_score": Parameter(float, "Minimum confidence, 0 to 1."),
        },
        errors=(422,),
    ),
    Endpoint(
        "upload",
        "POST",
        "/uploads",
        "Keeps an image, a clip or audio in memory to search for: the body is the file. The header "
        "X-Filename may contain its name, percent-encoded. The oldest uploads are dropped to make "
        "room for new ones.",
        {"id": str, "kind": str, "name": str},
        body=RAW,
        errors=(413, 415, 422),
        status=201,
    ),
    Endpoint(
        "videos",
        "GET",
        "/videos",
        "The files of the index by name, including those that could not be read, with the reason.",
        {"total": Count, "videos": [_VIDEO], "folders": [str]},
        query={
            **_PAGE,
            "folder": Parameter(str, "Only files in this folder."),
            "file": Parameter(str, "Only files whose names contain this."),
            "min_seconds": Parameter(float, "Only videos of at least this length."),
            "max_seconds": Parameter(float, "Only videos of at most this length."),
            "after": Parameter(str, "Only files from this date or later, such as 2026-01-31."),
            "before": Parameter(str, "Only files from this date or earlier."),
            "state": Parameter(str, "Only files in this state.", ("indexed", "skipped")),
        },
    ),
    Endpoint("video", "GET", "/videos/{video}", "One file.", _VIDEO, errors=(404,)),
    Endpoint(
        "media",
        "GET",
        "/videos/{video}/media",
        "The file itself; supports Range requests.",
        "video/*",
        errors=(404,),
    ),
    Endpoint(
        "thumbnail",
        "GET",
        "/videos/{video}/thumbnail",
        "A frame of the video.",
        "image/jpeg",
        query={"t": Parameter(float, "Seconds from the start.")},
        errors=(404,),
    ),
    Endpoint(
        "clip",
        "GET",
        "/moments/{moment}/clip",
        "The moment as an MP4 file. Mode exact re-encodes it, from its start to its end; copy "
        "keeps the compressed streams and starts at the last key frame before it. The headers "
        "X-Clip-Start and X-Clip-End contain the actual times in seconds.",
        "video/mp4",
        query={"mode": Parameter(str, "How to cut; default: exact.", MODES)},
        errors=(404, 422, 507),
    ),
    Endpoint(
        "lists",
        "POST",
        "/lists",
        "The moments as a file for editing programs and spreadsheets: EDL (CMX 3600), FCPXML 1.9, "
        "CSV or JSON, with captions. Film URLs are relative to the indexed folder. The "
        "frame rate, such as 25 or 30000/1001, defaults to that of most films.",
        "*/*",
        body={"moments": [str], "format": str, "title?": str, "frame_rate?": _STRING_OR_NULL},
        errors=(404, 413, 415, 422),
    ),
    Endpoint(
        "session",
        "POST",
        "/session",
        "Sets a cookie in place of the token, for players, which can't send a header.",
        None,
        status=204,
    ),
    Endpoint(
        "openapi",
        "GET",
        "/openapi.json",
        "This document.",
        {"openapi": str, "info": {}, "paths": {str: {}}},
        is_open=True,
    ),
)
