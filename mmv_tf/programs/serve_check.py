# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Check a server's answers for clips of a video, and measure its speed.

  mmv serve_check --server=http://127.0.0.1:8501 --saved_model=DIR --video=film.mp4 \
    --output=check.json

The server may be mmv serve or TensorFlow Serving; for gRPC, give grpc://127.0.0.1:8500. Answers are
compared with those of the SavedModel, which runs locally. Without a video, the inputs are noise.
"""

from __future__ import annotations

import os
from typing import Any

from absl import flags

from mmv_tf.publishing.samples import sample_input
from mmv_tf.util import command_line
from mmv_tf.util.configuration import write_json
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

_SERVER = flags.DEFINE_string(
    "server", None, "Server URL: http://HOST:PORT or grpc://HOST:PORT.", required=True
)
_NAME = flags.DEFINE_string("model_name", "mmv", "Name of the model on the server.")
_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "Folder with the same model, to be run locally.", required=True
)
_FILM = flags.DEFINE_string("video", None, "A video with audio to cut clips from.")
_CLIPS = flags.DEFINE_integer("num_clips", 4, "Number of clips.", lower_bound=1)
_SENTENCES = flags.DEFINE_multi_string(
    "text",
    [],
    "A sentence to send; repeatable. Default: one with a word known to the model.",
)
_CLIENTS = flags.DEFINE_multi_integer("clients", [1, 2, 4, 8], "Concurrent clients; repeatable.")
_REQUESTS = flags.DEFINE_integer("requests", 20, "Requests per client.", lower_bound=1)
_TOLERANCE = flags.DEFINE_float("tolerance", 1e-4, "Maximum difference that counts as equal.")
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")

storage_flags(inputs=["saved_model", "video"], outputs=["output"])


def main(argv: list[str]) -> int:
    """Check the server, and print and write the results."""
    del argv
    # Imported here so that --help works without TensorFlow Serving's API.
    from mmv_tf.serving.check import check_server, cut_clips, format_report
    from mmv_tf.serving.client import connect
    from mmv_tf.serving.servable import Servable

    local = Servable(_SAVED_MODEL.value)
    key = os.environ.get("MMV_API_KEY")

    def make_client() -> Any:
        return connect(_SERVER.value, _NAME.value, key)

    if _FILM.value:
        text = local.contract["signatures"].get("text", {}).get("input", {})
        sentences = _SENTENCES.value or [text.get("example") or "a dog runs"]
        requests = cut_clips(_FILM.value, local.contract, _CLIPS.value, sentences)
    else:
        requests = {
            name: [
                dict.fromkeys(signature.inputs, sample_input(name, local.contract, seed))
                for seed in range(_CLIPS.value)
            ]
            for name, signature in local.signatures.items()
        }
    report = check_server(make_client, local, requests, _CLIENTS.value, _REQUESTS.value)
    report = {"server": _SERVER.value, "version": local.version, **report}
    print(format_report(report))
    if _OUTPUT.value:
        write_json(report, _OUTPUT.value)
        print(f"Results are in {name_of(_OUTPUT.value)}.")
    wrong = [
        name
        for name, result in report["signatures"].items()
        if result.get("difference", 0) > _TOLERANCE.value
    ]
    if wrong:
        raise ValueError(
            f"The server's answers for {', '.join(wrong)} differ from those of "
            f"{_SAVED_MODEL.value}; does it serve the same version?"
        )
    return 0


if __name__ == "__main__":
    command_line.run(main)
