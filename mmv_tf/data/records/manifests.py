# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A shard directory's manifest: its format, and how to read, write and check it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from mmv_tf import version
from mmv_tf.data.integrity.rules import Expected
from mmv_tf.util import files
from mmv_tf.util.files import check_regular, file_sha256
from mmv_tf.util.safe_files import NUMBER, Count, Name, Positive, check_form, read_json
from mmv_tf.util.storage.errors import MissingError, StorageError
from mmv_tf.util.storage.urls import name_of

MANIFEST = "manifest.json"
# Increment if a reader of older manifests would misread a newer one.
FORMAT_VERSION = 1
# Version for data stored as video, so that readers that know only JPEGs reject it.
VIDEO_FORMAT_VERSION = 2
_READ = (FORMAT_VERSION, VIDEO_FORMAT_VERSION)

# How frames and audio are stored: as JPEGs and floats, or as one MP4 per clip.
JPEG_STORE, VIDEO_STORE = "jpeg", "video"
STORES = (JPEG_STORE, VIDEO_STORE)

# Ours: consecutive records read at once. Each epoch shuffles the chunks, so even a few
# shards mix well; 16 records of a second or two are a few megabytes.
CHUNK_RECORDS = 16


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """One file of records.

    Attributes:
      path: path to the file.
      split: split that the file belongs to; "" if there is no manifest.
      records, bytes, sha256: values from the manifest; None if there is none.
      offsets: offset of every 16th record, in bytes; empty if no manifest states them.
      crc32c: checksums of the bytes from each offset to the next; empty if no manifest states them.
      tag: version of the object in a store, which changes with the content; "" if unknown.
    """

    path: pathlib.Path
    split: str = ""
    records: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    offsets: tuple[int, ...] = ()
    crc32c: tuple[int, ...] = ()
    tag: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


def listed_shards(directory: pathlib.Path, manifest: Mapping[str, Any]) -> list[ShardEntry]:
    """Return the shards of all splits in a manifest."""
    return [
        ShardEntry(
            directory / shard["file"],
            split,
            shard["records"],
            shard["bytes"],
            shard.get("sha256"),
            tuple(shard.get("offsets", ())),
            tuple(shard.get("crc32c", ())),
        )
        for split, entry in manifest["splits"].items()
        for shard in entry["shards"]
    ]


def found_shards(directory: pathlib.Path, pattern: str) -> list[ShardEntry]:
    """Return the shards in a directory without a manifest, sorted by name.

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
    """Return the properties that a manifest states for every record."""
    if manifest is None:
        return Expected()
    log_mel = manifest.get("log_mel") or {}
    return Expected(
        frame_rate=manifest.get("frame_rate"),
        sample_rate=manifest.get("sample_rate"),
        labels=len(manifest["labels"]) if manifest.get("labels") else None,
        caption_window_seconds=manifest.get("settings", {}).get("caption_window_seconds"),
        log_mel_bins=log_mel.get("mel_bins"),
        is_video=store_of(manifest) == VIDEO_STORE,
        all_have_frames=all(
            split.get("num_with_video", split["num_examples"]) == split["num_examples"]
            for split in manifest.get("splits", {}).values()
        ),
    )


def store_of(manifest: Mapping[str, Any]) -> str:
    """Return how the frames and audio of the records are stored, one of `STORES`."""
    store: str = manifest.get("store", JPEG_STORE)
    return store


def write_manifest(directory: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` atomically, adding the versions of the format and the tool."""
    is_video = store_of(manifest) == VIDEO_STORE
    content = {
        "format_version": VIDEO_FORMAT_VERSION if is_video else FORMAT_VERSION,
        "tool": "mmv_tf.prepare_data",
        "tool_version": version.__version__,
        **manifest,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    files.write_text(text + "\n", directory / MANIFEST)


def read_manifest(directory: str | pathlib.Path) -> dict[str, Any]:
    """Read a shard directory's manifest.

    Returns:
      A dict with, among others, "frame_rate" and "sample_rate" (Hz), "short_side" (pixels),
      "labels" (names by class id) and "splits": by name, "num_examples" and "shards", a list of
      dicts with "file", "records", "bytes" and "sha256".

    Raises:
      ValueError: the manifest is missing, or this version cannot read it.
    """
    path = pathlib.Path(directory) / MANIFEST
    where = name_of(path)
    try:
        content = read_json(path)
    except FileNotFoundError:
        if any(path.parent.glob("*.tfrecord*")):
            raise ValueError(
                f"{where}: no such file, but there are shards; for records from other tools, set "
                "records=dmvr or records=mediasequence; otherwise, run the same 'mmv prepare_data' "
                "command again."
            ) from None
        raise ValueError(
            f"{where}: no such file; expected a directory of prepared data; make it with "
            "'mmv prepare_data' (the same command resumes an interrupted run)."
        ) from None
    except OSError as error:
        raise ValueError(f"{where}: can't be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise ValueError(f"{error}; prepare the data again with --overwrite.") from None
    if not isinstance(content, dict) or content.get("format_version") not in _READ:
        found = content.get("format_version") if isinstance(content, dict) else None
        raise ValueError(
            f"{where}: its format version is {found!r}, but this program reads {_READ[0]} and "
            f"{_READ[1]}; prepare the data again with --overwrite, or use the version that wrote "
            "it."
        )
    missing = [key for key in _MANIFEST_KEYS if key not in content]
    if missing:
        raise ValueError(
            f"{where}: lacks {', '.join(missing)}; prepare the data again with --overwrite."
        )
    try:
        check_form(content, _MANIFEST_FORM)
        if store_of(content) not in STORES:
            raise ValueError(f"store is {store_of(content)!r}; expected one of {', '.join(STORES)}")
    except ValueError as error:
        raise ValueError(
            f"{where}: {error}; prepare the data again with --overwrite, or restore the file."
        ) from None
    return content


def check_shards(
    directory: str | pathlib.Path,
    manifest: dict[str, Any],
    checksums: bool = False,
    size_of: Callable[[pathlib.Path], int] = check_regular,
) -> None:
    """Check that the shards in a manifest exist and are complete.

    Args:
      directory: the shards' directory.
      manifest: as returned by `read_manifest`.
      checksums: whether to verify SHA-256 as well, which reads every byte, instead of only sizes.
      size_of: function that takes a shard's path and returns its size in bytes, or raises
        `OSError`.

    Raises:
      ValueError: a shard is missing or differs.
      StorageError: the object store cannot be reached.
    """
    advice = "prepare the data again with --overwrite, or restore the file"
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            path = pathlib.Path(directory) / shard["file"]
            try:
                size = size_of(path)
            except OSError as error:
                if isinstance(error, StorageError) and not isinstance(error, MissingError):
                    raise
                reason = error.strerror or "no such object"
                raise ValueError(
                    f"{name_of(path)}: {reason}, but the manifest lists it; {advice}."
                ) from error
            if size != shard["bytes"]:
                raise ValueError(
                    f"{name_of(path)}: has {size} bytes, but the manifest states {shard['bytes']}; "
                    f"{advice}."
                )
            if checksums and file_sha256(path) != shard["sha256"]:
                raise ValueError(
                    f"{name_of(path)}: its SHA-256 differs from the manifest's; {advice}."
                )


_MANIFEST_KEYS = ("frame_rate", "sample_rate", "short_side", "labels", "splits", "settings")
SHARD_FORM = {
    "file": Name,
    "records": Count,
    "bytes": Count,
    "sha256?": (str, None),
    "offsets?": [Count],
    "crc32c?": [Count],
}
_MANIFEST_FORM = {
    "frame_rate": (Positive, None),
    "sample_rate": (Positive, None),
    "short_side": (Count, None),
    "labels": ([str], None),
    "log_mel?": ({"mel_bins?": Count}, None),
    "store?": str,
    "splits": {
        str: {
            "num_examples": Count,
            "num_captions?": Count,
            "num_with_video?": Count,
            "shards": [SHARD_FORM],
        }
    },
    "settings": {"caption_window_seconds?": (*NUMBER, None)},
    "sources?": [
        {
            "media_id": str,
            "status": str,
            "reason": str,
            "seconds": NUMBER,
            "clips": Count,
            "left_out?": {str: Count},
            "first_left_out?": {str: str},
        }
    ],
    "blocks?": [{"start?": NUMBER}],
    "dropped?": {str: Count},
    "passed_over?": ({str: Count}, None),
    "fingerprint?": (str, None),
}
