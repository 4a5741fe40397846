# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A digest of a training run's data, stored in its folder: a run resumes only on the same data."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from mmv_tf.data import Reader
from mmv_tf.util.configuration import differences, read_json, write_json

FILE = "data.json"
# Hexadecimal digits of a SHA-256: enough to distinguish data, and short enough to read.
_DIGITS = 16


class RunData:
    """Shards that a run trains on, wherever they are stored.

    Args:
      readers: readers of the run's data sets, in configuration order.

    Attributes:
      described: for JSON, "data set 1" and so on -> {"frame_rate", "sample_rate", "splits": {name:
        {"shards", "records", "sha256"}}}. Without a manifest, only names and sizes of records are
        known.
    """

    def __init__(self, readers: Sequence[Reader]):
        names = [f"data set {number}" for number in range(1, len(readers) + 1)]
        self.described = {n: _describe(reader) for n, reader in zip(names, readers, strict=True)}
        self._places = {n: reader.directory for n, reader in zip(names, readers, strict=True)}

    def check(self, directory: pathlib.Path) -> None:
        """Compare the data with the data that a run was started on.

        A run from an older version, without a description of its data, passes.

        Raises:
          ValueError: they differ; the message names the data folder and the difference.
        """
        path = directory / FILE
        different = differences(read_json(path), self.described) if path.exists() else []
        if different:
            key, old, new = different[0]
            name, _, entry = key.partition(".")
            raise ValueError(
                f"{self._places.get(name, name)}: {entry} is {new!r}, but was {old!r} in the data "
                f"that the run in {directory} was started on; restore those data, choose another "
                f"folder for the run, or remove {path} to continue with the new data."
            )

    def save(self, directory: pathlib.Path) -> None:
        """Write the description to a run's folder, unless it has one."""
        path = directory / FILE
        if not path.exists():
            write_json(self.described, path)


def _describe(reader: Reader) -> dict[str, Any]:
    splits: dict[str, list[list[Any]]] = {}
    for shard in reader.shards():
        size = shard.path.stat().st_size if shard.bytes is None else shard.bytes
        row = [shard.name, size, shard.records, shard.sha256]
        splits.setdefault(shard.split or "all", []).append(row)
    return {
        "frame_rate": reader.manifest["frame_rate"],
        "sample_rate": reader.manifest["sample_rate"],
        "splits": {
            split: {
                "shards": len(rows),
                "records": sum(records or 0 for _, _, records, _ in rows),
                "sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:_DIGITS],
            }
            for split, rows in splits.items()
        },
    }
