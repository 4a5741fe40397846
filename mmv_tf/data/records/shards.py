# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The shards of a directory: listed by its manifest, or found by a pattern."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from mmv_tf.data.integrity.rules import Expected

# Records that follow one another and are read in one go; ours. Their order is drawn anew in each
# epoch, however few the shards are; 16 records of a second or two are some megabytes.
CHUNK_RECORDS = 16


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """One file of records.

    Attributes:
      path: of the file.
      split: that it belongs to; "" for records without a manifest.
      records, bytes, sha256: as the manifest has them; None without a manifest.
      offsets: bytes at which every 16th record begins; empty where no manifest says.
    """

    path: pathlib.Path
    split: str = ""
    records: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    offsets: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


def listed_shards(directory: pathlib.Path, manifest: Mapping[str, Any]) -> list[ShardEntry]:
    """The shards of all splits of a manifest."""
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
    """Files of a directory without a manifest, in order of name.

    Raises:
      ValueError: there is no such directory, or nothing in it matches.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory; expected one with TFRecord shards.")
    paths = sorted(path for path in directory.glob(pattern) if not path.name.startswith("."))
    if not paths:
        raise ValueError(
            f"{directory}: no file matches {pattern!r}; set the pattern of the shards' names."
        )
    return [ShardEntry(path) for path in paths]


def expected_of(manifest: Mapping[str, Any] | None) -> Expected:
    """What a manifest says of every record."""
    if manifest is None:
        return Expected()
    log_mel = manifest.get("log_mel") or {}
    return Expected(
        frame_rate=manifest.get("frame_rate"),
        sample_rate=manifest.get("sample_rate"),
        labels=len(manifest["labels"]) if manifest.get("labels") else None,
        caption_window_seconds=manifest.get("settings", {}).get("caption_window_seconds"),
        log_mel_bins=log_mel.get("mel_bins"),
        pictures=all(
            split.get("num_with_video", split["num_examples"]) == split["num_examples"]
            for split in manifest.get("splits", {}).values()
        ),
    )
