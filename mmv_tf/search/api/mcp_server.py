# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MCP server, with which agents search the videos and get clips as files.

It speaks the Model Context Protocol over standard input and output, or over HTTP on localhost.
"""

from __future__ import annotations

import pathlib
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from mmv_tf.data.media import MediaError
from mmv_tf.search.api.errors import ApiError
from mmv_tf.search.api.library import Json, Library
from mmv_tf.search.api.searching import MOST_LIMIT, Searches
from mmv_tf.search.api.uploads import Uploads
from mmv_tf.search.cutting import clip_name, cut_in_child
from mmv_tf.search.decoder import Decoder
from mmv_tf.search.searcher import Searcher
from mmv_tf.util.files import replacing
from mmv_tf.util.text_files import printable_name
from mmv_tf.version import __version__

_INSTRUCTIONS = (
    "Finds moments in an indexed collection of videos by what is seen or heard in them, and cuts "
    "them out as files. Scores are only comparable within one answer; confidence says how clearly "
    "a moment stands out, and `nothing` says that none matches well."
)
_MOST_CAPTION = 1000  # characters of a moment's captions; ours


def make_server(searcher: Searcher, decoder: Decoder, clips: pathlib.Path) -> MCPServer:
    """Return the server with its tools, `search_videos` and `get_clip`.

    Args:
      searcher: the index.
      decoder: cuts clips in child processes.
      clips: folder to which `get_clip` writes.
    """
    library = Library(searcher)
    searches = Searches(library, Uploads(0))
    server: MCPServer = MCPServer(
        "mmv-search",
        title="Search your videos",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
    )

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    def search_videos(
        query: Annotated[str, Field(description="What happens in the moment, in plain words.")],
        limit: Annotated[int, Field(description="Maximum moments.", ge=1, le=MOST_LIMIT)] = 5,
        offset: Annotated[int, Field(description="Number of moments to skip.", ge=0)] = 0,
        within: Annotated[
            Literal["video", "audio", "speech", "all"] | None,
            Field(
                description="What to search: what is seen (video), heard (audio) or said (speech), "
                "or seen and said (all); default: what the collection has."
            ),
        ] = None,
        folder: Annotated[
            str | None, Field(description="Only videos in this folder of the collection.")
        ] = None,
        file: Annotated[
            str | None, Field(description="Only videos whose names contain this.")
        ] = None,
        min_score: Annotated[
            float | None, Field(description="Minimum confidence, 0 to 1.", ge=0, le=1)
        ] = None,
    ) -> dict[str, Any]:
        """Find the moments of the videos that best match a description, best first."""
        asked: Json = {
            "queries": [{"text": query}],
            "limit": limit,
            "offset": offset,
            "filters": {"folder": folder, "file": file},
            "min_score": min_score,
        }
        if within is not None:
            asked["within"] = within
        try:
            answer = searches.search(asked)
        except ApiError as error:
            raise ToolError(error.message) from None
        return {
            "moments": [_moment(moment) for moment in answer["moments"]],
            "more": answer["more"],
            "unknown_words": answer["unknown_words"],
            "nothing": answer["nothing"],
        }

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
    def get_clip(
        moment: Annotated[str, Field(description="Id of a moment from search_videos.")],
        mode: Annotated[
            Literal["exact", "copy"],
            Field(
                description="exact: from its start to its end, re-encoded; copy: fast, starting at "
                "the last key frame before it."
            ),
        ] = "exact",
    ) -> dict[str, Any]:
        """Cut a moment out of its video as an MP4 file, and return the file's path."""
        try:
            found, folders, video = library.moment(moment)
            source = library.path(folders, video)
        except ApiError as error:
            raise ToolError(error.message) from None
        name = printable_name(video.name)
        target = clips / f"{found.video[:8]} {clip_name(name, found.start, found.end)}"
        try:
            with replacing(target) as temporary:
                clip = cut_in_child(
                    decoder, str(source), found.start, found.end, str(temporary), mode
                )
        except (MediaError, ValueError) as error:
            raise ToolError(str(error).replace(str(source), name)) from None
        except OSError as error:
            raise ToolError(f"The clip can't be written: {error.strerror or error}") from None
        return {"path": str(target), "file": name, "start": clip.start, "end": clip.end}

    return server


def run(
    searcher: Searcher,
    clips: pathlib.Path,
    deadline_seconds: float,
    http_port: int | None = None,
) -> None:
    """Serve until the client disconnects or, over HTTP, until a signal arrives.

    Args:
      searcher: the index. Its model is loaded first.
      clips: folder to which clips are written; it is created.
      deadline_seconds: maximum seconds to cut a clip.
      http_port: port on 127.0.0.1; None for standard input and output.

    Raises:
      ValueError: there is no index, it is damaged, or its model is missing or differs.
      OSError: the folder can't be created.
    """
    searcher.open()
    searcher.embedder()
    clips = clips.absolute()
    clips.mkdir(parents=True, exist_ok=True)
    decoder = Decoder(deadline_seconds, processes=1)
    server = make_server(searcher, decoder, clips)
    try:
        if http_port is None:
            server.run("stdio")
        else:
            server.run("streamable-http", host="127.0.0.1", port=http_port)
    finally:
        decoder.close()


def _moment(moment: Json) -> Json:
    """Return the fields of a moment that an agent needs."""
    said = " ".join(caption["text"] for caption in moment["captions"])
    return {
        "moment": moment["id"],
        "file": moment["video"]["name"],
        "start": moment["start"],
        "end": moment["end"],
        "score": moment["score"],
        "confidence": moment["confidence"],
        "captions": said[:_MOST_CAPTION],
    }
