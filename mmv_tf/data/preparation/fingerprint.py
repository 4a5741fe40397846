# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A preparation's fingerprint: a hash of everything that its shards depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from mmv_tf import version
from mmv_tf.data.preparation.decoding import LogMelSpec
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import TFDS, DataSetFacts, Source
from mmv_tf.data.records import manifests
from mmv_tf.util import files
from mmv_tf.util.storage.urls import name_of, url_of

# Increment if the same files and settings give different clips, for example after a decoding fix.
_READING_VERSION = 2


def fingerprint_of(
    sources: Sequence[Source],
    settings: Settings,
    labels: str | pathlib.Path | None,
    facts: DataSetFacts,
    log_mel: LogMelSpec | None,
) -> str:
    """Return a hash of everything that the shards depend on.

    Media files are identified by name, size and modification time (in a store, by its clock).
    """
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        digest.update(json.dumps(value, default=name_of, sort_keys=True).encode() + b"\n")

    versions = [version.__version__, manifests.FORMAT_VERSION, _READING_VERSION]
    add([*versions, settings.stated()])
    add([_content(labels), dataclasses.asdict(facts)])
    add(None if log_mel is None else [log_mel[0].__name__, log_mel[1]])
    for source in sources:
        # Unused caption files change nothing.
        add({k: v for k, v in dataclasses.asdict(source).items() if k != "left_out"})
        add([_state(source), _content(source.captions)])
    return digest.hexdigest()[:16]


def _state(source: Source) -> list[Any] | None:
    """Return the properties that identify a file's content; None if it is missing."""
    try:
        stat = source.path.stat()
    except OSError:
        return None
    # A folder of TensorFlow Datasets does not change within a version.
    changes = [stat.st_size, stat.st_mtime_ns] if source.kind != TFDS else []
    return [url_of(source.path) or str(source.path.resolve()), *changes]


def _content(path: str | pathlib.Path | None) -> str | list[int] | None:
    """Return what identifies a caption file's content; None if it is missing.

    This is its hash or, for a file in a store, which may not have been downloaded yet, its size and
    time. A missing file raises an error where it is read.
    """
    if path is None or not pathlib.Path(path).is_file():
        return None
    if url_of(path) is not None:
        stat = pathlib.Path(path).stat()
        return [stat.st_size, stat.st_mtime_ns]
    return files.file_sha256(pathlib.Path(path))
