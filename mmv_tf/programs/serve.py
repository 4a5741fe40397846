# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Serve an exported model with TensorFlow Serving's REST and gRPC interfaces.

  mmv export --model=RUN --output=DIR --version=1 --checked --fold_batch_norms
  mmv serve --saved_model=DIR --model_name=mmv
  mmv serve --model=mmv_s3d.keras --dtype=bfloat16

The second form first exports the model to a temporary folder, which takes about a minute. Without
an API key (a file or MMV_API_KEY) the server listens only on loopback addresses. On SIGTERM it
answers the requests that it has accepted and stops. See docs/serving.md.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile

from absl import flags

from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.serving.settings import MEBIBYTE as _MB
from mmv_tf.serving.settings import ServerSettings as _Defaults
from mmv_tf.util import command_line
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import storage_flags

_PATH = flags.DEFINE_string(
    "saved_model", None, "A folder of numbered versions, or one SavedModel."
)
_MODEL = define_network_flags(required=False, image_model=True, settings=False, engine=False)
_NAME = flags.DEFINE_string("model_name", _Defaults.model_name, "Name of the model in requests.")
_HOST = flags.DEFINE_string("host", _Defaults.host, "Address to listen on.")
_REST = flags.DEFINE_integer("http_port", _Defaults.rest_port, "HTTP port; 0: any free port.")
_GRPC = flags.DEFINE_integer(
    "grpc_port", _Defaults.grpc_port, "gRPC port; 0: any free port; -1: none."
)
_KEY = flags.DEFINE_string(
    "api_key_file", None, "A file with the API key; default: the environment variable MMV_API_KEY."
)
_BATCHING = flags.DEFINE_bool("batching", True, "Batch waiting requests together.")
_ROWS = flags.DEFINE_integer("max_batch_rows", _Defaults.max_batch_rows, "Maximum rows per batch.")
_BATCH_MB = flags.DEFINE_integer(
    "max_batch_mb", _Defaults.max_batch_bytes // _MB, "Maximum input size per batch, in MiB."
)
_WAIT = flags.DEFINE_float(
    "batch_wait_ms",
    _Defaults.batch_wait * 1000,
    "Milliseconds that an idle model waits for more requests.",
)
_EXECUTORS = flags.DEFINE_integer("executors", _Defaults.executors, "Batches to compute at once.")
_QUEUE = flags.DEFINE_integer(
    "max_queue", _Defaults.max_queue, "Maximum number of waiting requests; others get status 503."
)
_CONNECTIONS = flags.DEFINE_integer(
    "max_connections",
    _Defaults.max_connections,
    "Maximum number of connections, for each of HTTP and gRPC.",
)
_HOSTS = flags.DEFINE_list("allowed_hosts", [], "Accepted host names besides those of localhost.")
_ORIGINS = flags.DEFINE_list(
    "allowed_origins", [], "Sites whose pages may send requests, such as https://example.org."
)
_BODY_MB = flags.DEFINE_integer(
    "max_body_mb", _Defaults.max_body_bytes // _MB, "Maximum size of an HTTP body, in MiB."
)
_MESSAGE_MB = flags.DEFINE_integer(
    "max_message_mb", _Defaults.max_message_bytes // _MB, "Maximum size of a gRPC message, in MiB."
)
_INPUT_MB = flags.DEFINE_integer(
    "max_input_mb", _Defaults.max_input_bytes // _MB, "Maximum input size per request, in MiB."
)
_MAX_ROWS = flags.DEFINE_integer("max_rows", _Defaults.max_rows, "Maximum rows per request.")
_MEMORY_MB = flags.DEFINE_integer(
    "memory_mb", _Defaults.memory_bytes // _MB, "Maximum memory for all requests, in MiB."
)
_BODY_SECONDS = flags.DEFINE_float(
    "body_timeout", _Defaults.body_timeout, "Maximum seconds to receive a request."
)
_REQUEST_SECONDS = flags.DEFINE_float(
    "request_timeout", _Defaults.request_timeout, "Maximum seconds to answer a request."
)
_STOP_SECONDS = flags.DEFINE_float(
    "stop_timeout", _Defaults.stop_timeout, "Maximum seconds to finish open requests after SIGTERM."
)

storage_flags(inputs=["saved_model"], local=["api_key_file"])


def main(argv: list[str]) -> None:
    """Serve the model."""
    del argv
    try:
        from mmv_tf.serving.server import run
    except ImportError as error:
        raise ValueError(f'Serving needs {error.name}: pip install "mmv_tf[serve]".') from error
    if (_PATH.value is None) == (_MODEL.value is None):
        raise command_line.UsageError("Give either --saved_model or --model.")
    with contextlib.ExitStack() as stack:
        folder = _PATH.value
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mmv_serve_"))
            _export(folder)
        run(_settings(folder), announce=lambda line: print(line, flush=True))
    print("Stopped.", flush=True)


def _export(folder: str) -> None:
    """Export --model with the modalities that it can embed from raw input."""
    from mmv_tf.publishing import ExportOptions, export

    network = network_flags()
    model, image_model = network.open_models()
    modalities = [*model.modalities, *([] if image_model is None else ["image"])]
    if "text" in modalities and model.tokenizer is None:
        modalities.remove("text")
        print("Text is not served: the model has no vocabulary; see --vocabulary.", flush=True)
    options = ExportOptions(modalities=tuple(modalities), fold_batch_norms=True)
    print(f"Exporting {name_of(network.model)}.", flush=True)
    export(model, folder, image_model, options=options, version=1, model_name=_NAME.value)


def _settings(folder: str) -> _Defaults:
    return _Defaults(
        model_base_path=folder,
        model_name=_NAME.value,
        host=_HOST.value,
        rest_port=_REST.value,
        grpc_port=None if _GRPC.value < 0 else _GRPC.value,
        api_key=read_key(_KEY.value),
        batching=_BATCHING.value,
        max_batch_rows=_ROWS.value,
        max_batch_bytes=_BATCH_MB.value * _MB,
        batch_wait=_WAIT.value / 1000,
        executors=_EXECUTORS.value,
        max_queue=_QUEUE.value,
        max_connections=_CONNECTIONS.value,
        allowed_hosts=_HOSTS.value,
        allowed_origins=_ORIGINS.value,
        max_body_bytes=_BODY_MB.value * _MB,
        max_message_bytes=_MESSAGE_MB.value * _MB,
        max_input_bytes=_INPUT_MB.value * _MB,
        max_rows=_MAX_ROWS.value,
        memory_bytes=_MEMORY_MB.value * _MB,
        body_timeout=_BODY_SECONDS.value,
        request_timeout=_REQUEST_SECONDS.value,
        stop_timeout=_STOP_SECONDS.value,
    )


def read_key(path: str | None) -> str | None:
    """Return the API key. It is not a flag value, which any user of the machine could read."""
    if path is None:
        return os.environ.get("MMV_API_KEY") or None
    key = pathlib.Path(path).read_text(encoding="utf-8").strip()
    if not key:
        raise ValueError(f"{path} is empty; it must contain the API key.")
    return key


if __name__ == "__main__":
    command_line.run(main)
