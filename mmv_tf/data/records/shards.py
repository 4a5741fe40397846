# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shards of a directory, from its manifest or by a pattern."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from mmv_tf.data.integrity.rules import Expected

# Ours: consecutive records that are read at once. Each epoch shuffles the chunks, so that few
# shards still mix well; 16 records of a second or two are a few megabytes.
CHUNK_RECORDS = 16


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """One file of records.

    Attributes:
      path: of the file.
      split: the split that it belongs to; "" without a manifest.
      records, bytes, sha256: as in the manifest; None without one.
      offsets: of every 16th record, in bytes; empty if no manifest gives them.
    """

    path: pathlib.Path
    split: str = ""
    records: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    offsets: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name


def listed_shards(directory: pathlib.Path, manifest: Mapping[str, Any]) -> list[ShardEntry]:
    """Return the shards of all splits of a manifest."""
    return [
        ShardEntry(
            directory / shard["file"],
            split,
            shard["records"],
            shard["bytes"],
            shard.get("sha256"),
            tuple(shard.get("offsets", ())),
        )
        for split, entry in manifest["splits"].items()
        for shard in entry["shards"]
    ]


def found_shards(directory: pathlib.Path, pattern: str) -> list[ShardEntry]:
    """Return the shards of a directory without a manifest, in order of name.

    Raises:
      ValueError: the directory does not exist, or no file in it matches.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory; expected one with TFRecord shards.")
    paths = sorted(path for path in directory.glob(pattern) if not path.name.startswith("."))
    if not paths:
        raise ValueError(
            f"{directory}: no file matches {pattern!r}; expected shards; set their name pattern."
        )
    return [ShardEntry(path) for path in paths]


def expected_of(manifest: Mapping[str, Any] | None) -> Expected:
    """Return the properties that a manifest states of every record."""
    if manifest is None:
        return Expected()
    log_mel = manifest.get("log_mel") or {}
    return Expected(
        frame_rate=manifest.get("frame_rate"),
        sample_rate=manifest.get("sample_rate"),
        labels=len(manifest["labels"]) if manifest.get("labels") else None,
        caption_window_seconds=manifest.get("settings", {}).get("caption_window_seconds"),
        log_mel_bins=log_mel.get("mel_bins"),
        all_have_frames=all(
            split.get("num_with_video", split["num_examples"]) == split["num_examples"]
            for split in manifest.get("splits", {}).values()
        ),
    )
