# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The commands `serve` and `mcp`."""

from __future__ import annotations

import pathlib

from absl import flags

from mmv_tf.util.storage.workspace import storage_flags

flags.disclaim_key_flags()
FLAGS = flags.FLAGS


def define_serve() -> None:
    """Serve the search page, by default on localhost only."""
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_string("model", None, "The model; default: the index's model.")
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on.")
    flags.DEFINE_integer("http_port", 8600, "HTTP port; 0: any free port.")
    flags.DEFINE_integer("max_upload_mb", 64, "Maximum size of an upload to search for, in MiB.")
    flags.DEFINE_integer("limit", 12, "Maximum number of moments to show.", lower_bound=1)
    flags.DEFINE_integer("max_connections", 512, "Maximum connections; a playing video uses one.")
    flags.DEFINE_float("deadline_seconds", 30.0, "Maximum seconds to decode an image or upload.")
    flags.DEFINE_float("body_timeout", 120.0, "Maximum seconds to receive an upload.")
    flags.DEFINE_float("cut_seconds", 300.0, "Maximum seconds to cut a clip.")
    flags.DEFINE_string(
        "token_file",
        None,
        "A file with the token that requests must send; default: the environment variable "
        "MMV_SEARCH_TOKEN.",
    )
    flags.DEFINE_bool("everybody", False, "Allow a --host on which others can watch the videos.")
    storage_flags(inputs=["index"], models=["model"], local=["token_file"])


def serve(argv: list[str]) -> None:
    """Serve the page."""
    del argv
    from mmv_tf.search.api.server import run
    from mmv_tf.search.page_settings import MEBIBYTE, PageSettings
    from mmv_tf.search.searcher import Searcher
    from mmv_tf.search.tokens import read_token

    settings = PageSettings(
        host=FLAGS.host,
        port=FLAGS.http_port,
        max_upload_bytes=FLAGS.max_upload_mb * MEBIBYTE,
        results=FLAGS.limit,
        everybody=FLAGS.everybody,
        max_connections=FLAGS.max_connections,
        body_timeout=FLAGS.body_timeout,
        deadline_seconds=FLAGS.deadline_seconds,
        cut_seconds=FLAGS.cut_seconds,
        token=read_token(FLAGS.token_file),
    )
    run(Searcher(FLAGS.index, FLAGS.model), settings, lambda line: print(line, flush=True))
    print("Stopped.", flush=True)


def define_mcp() -> None:
    """Serve agents with the Model Context Protocol, over standard input and output."""
    flags.DEFINE_string("index", None, "Index folder.", required=True)
    flags.DEFINE_string("model", None, "The model; default: the index's model.")
    flags.DEFINE_string("clips", "clips", "Folder to write clips to.")
    flags.DEFINE_float("deadline_seconds", 300.0, "Maximum seconds to cut a clip.")
    flags.DEFINE_integer(
        "http_port", None, "Serve over HTTP on 127.0.0.1 instead, at /mcp on this port."
    )
    storage_flags(inputs=["index"], models=["model"], local=["clips"])


def mcp(argv: list[str]) -> None:
    """Serve agents."""
    del argv
    from mmv_tf.search.searcher import Searcher

    try:
        from mmv_tf.search.api.mcp_server import run
    except ImportError as error:
        raise ValueError(
            f'The MCP server needs {error.name}: pip install "mmv_tf[mcp]".'
        ) from error
    searcher = Searcher(FLAGS.index, FLAGS.model)
    run(searcher, pathlib.Path(FLAGS.clips), FLAGS.deadline_seconds, FLAGS.http_port)
