# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Drives a server with clips of a film: compares its answers and measures its speed.

  python -m binaries.serve_check --server=http://127.0.0.1:8501 --saved_model=DIR --video=film.mp4 \
    --output=check.json

The server may be binaries.serve or TensorFlow Serving; grpc://127.0.0.1:8500 asks over gRPC.
Answers are held against the SavedModel, run here. Without a film the inputs are noise.
"""

from __future__ import annotations

import os
from typing import Any

from absl import flags

from mmv_tf.publishing.samples import sample_input
from mmv_tf.util import command_line
from mmv_tf.util.configuration import write_json

_SERVER = flags.DEFINE_string(
    "server", None, "http://HOST:PORT or grpc://HOST:PORT.", required=True
)
_NAME = flags.DEFINE_string("model_name", "mmv", "The network's name there.")
_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "The same network's folder, to run here.", required=True
)
_FILM = flags.DEFINE_string("video", None, "A video file with sound to cut clips from.")
_CLIPS = flags.DEFINE_integer("num_clips", 4, "How many.", lower_bound=1)
_SENTENCES = flags.DEFINE_multi_string(
    "text",
    [],
    "A sentence to send; may be given again. By default one with a word that the network knows.",
)
_CLIENTS = flags.DEFINE_multi_integer("clients", [1, 2, 4, 8], "Clients at once; again for more.")
_REQUESTS = flags.DEFINE_integer("requests", 20, "Requests that each client sends.", lower_bound=1)
_TOLERANCE = flags.DEFINE_float("tolerance", 1e-4, "Largest difference that counts as equal.")
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")


def main(argv: list[str]) -> int:
    """Reads the flags, drives the server, prints and writes."""
    del argv
    # Here, for --help to come without TensorFlow Serving's API.
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
            name: [{name: sample_input(name, local.contract, seed)} for seed in range(_CLIPS.value)]
            for name in local.signatures
        }
    report = check_server(make_client, local, requests, _CLIENTS.value, _REQUESTS.value)
    report = {"server": _SERVER.value, "version": local.version, **report}
    print(format_report(report))
    if _OUTPUT.value:
        write_json(report, _OUTPUT.value)
        print(f"Results are in {_OUTPUT.value}.")
    wrong = [
        name
        for name, result in report["signatures"].items()
        if result.get("difference", 0) > _TOLERANCE.value
    ]
    if wrong:
        raise ValueError(
            f"The server's answers for {', '.join(wrong)} are not those of {_SAVED_MODEL.value}; "
            "does it serve the same version?"
        )
    return 0


if __name__ == "__main__":
    command_line.run(main)
