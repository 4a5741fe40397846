# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Merging of block files into shards, and their atomic renaming into place."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import logging
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import google_crc32c

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.report import SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.records import manifests, shard_writer
from mmv_tf.util import files
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.progress import Progress
from mmv_tf.util.text_files import printable_name
from mmv_tf.util.worker_pool import Failure, Runner, Task

_END = b"mmvblck2"

_FOOTER_BYTES = 24

_MAX_INDEX_BYTES = 64 << 20


class DamagedBlockError(MediaError):
    """Error about a damaged block file."""


def write_block(path: pathlib.Path, records: Iterable[bytes], summary: dict[str, Any]) -> None:
    """Write a block file of records and `summary`, which may be filled during iteration."""
    with files.replacing(path, sync=False) as temporary, open(temporary, "wb") as file:
        offsets, checksums = [0], []
        for record in records:
            file.write(record)
            offsets.append(offsets[-1] + len(record))
            checksums.append(google_crc32c.value(record))
        index = json.dumps({**summary, "offsets": offsets, "crc32c": checksums}).encode()
        file.write(index + _number(len(index)) + _number(google_crc32c.value(index)) + _END)


def read_index(path: pathlib.Path) -> dict[str, Any]:
    """Read a block's summary, the "offsets" of its records' borders, and their "crc32c".

    Raises:
      DamagedBlockError: the index is damaged, or the file is cut off.
      OSError: the file can't be read.
    """
    with open(path, "rb") as file:
        return _read_index(file, path)


def check_block(path: pathlib.Path) -> dict[str, Any]:
    """Read the index of a block and compare every record with its checksum."""
    with open(path, "rb") as file:
        index = _read_index(file, path)
        file.seek(0)
        for number, crc in enumerate(index["crc32c"]):
            start, end = index["offsets"][number : number + 2]
            _read_record(file, path, end - start, crc)
        return index


def read_record(path: pathlib.Path, start: int, end: int, crc: int) -> bytes:
    """Read one record of a block.

    Raises:
      DamagedBlockError: the record is damaged.
    """
    with open(path, "rb") as file:
        file.seek(start)
        return _read_record(file, path, end - start, crc)


def _read_index(file: BinaryIO, path: pathlib.Path) -> dict[str, Any]:
    size = file.seek(0, 2)
    file.seek(max(0, size - _FOOTER_BYTES))
    footer = file.read(_FOOTER_BYTES)
    length, crc = (int.from_bytes(footer[start : start + 8], "little") for start in (0, 8))
    if len(footer) != _FOOTER_BYTES or footer[16:] != _END or length > _MAX_INDEX_BYTES:
        raise _damaged(path)
    file.seek(max(0, size - _FOOTER_BYTES - length))
    data = file.read(length)
    if google_crc32c.value(data) != crc:
        raise _damaged(path)
    index: dict[str, Any] = json.loads(data)
    if size != index["offsets"][-1] + length + _FOOTER_BYTES:
        raise _damaged(path)
    return index


def _read_record(file: BinaryIO, path: pathlib.Path, length: int, crc: int) -> bytes:
    record = file.read(length)
    if len(record) != length or google_crc32c.value(record) != crc:
        raise _damaged(path)
    return record


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _damaged(path: pathlib.Path) -> DamagedBlockError:
    return DamagedBlockError(
        f"{path}: is damaged; run the same command again, which decodes it again"
    )


logger = logging.getLogger(__name__)


SHARD_NAME = re.compile(r".+-\d{5}-of-\d{5}\.tfrecord")


@dataclasses.dataclass(frozen=True)
class _Record:
    """Position of a record in a block file."""

    path: str
    start: int
    end: int
    crc: int


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard to write."""

    split: str
    path: str
    records: tuple[_Record, ...]
    key: str  # Hash of the example ids, which identifies a shard written earlier.


def publish(
    plan: Plan,
    settings: Settings,
    output: pathlib.Path,
    work: pathlib.Path,
    extra: dict[str, Any],
    runner: Runner,
) -> dict[str, Any]:
    """Write all shards in the work folder, move them to the output and write the manifest.

    Args:
      plan: the decoded units.
      settings: contents of the shards.
      output: folder for the shards.
      work: folder of the block files.
      extra: further entries of the manifest.
      runner: runs the writing tasks.

    Returns:
      The manifest.
    """
    staging = work / "shards"
    staging.mkdir(exist_ok=True)
    files.remove_unfinished(staging)
    shards = _assign(plan, settings, staging, work)
    entries = _write_all(shards, runner)
    # Until the new manifest is written there is none, so no reader can read a mixture of shards.
    (output / manifests.MANIFEST).unlink(missing_ok=True)
    expected = {pathlib.Path(shard.path).name for shard in shards}
    for old in output.iterdir():
        if SHARD_NAME.fullmatch(old.name) and old.name not in expected:
            old.unlink()
    for shard in shards:
        path = pathlib.Path(shard.path)
        if path.exists():  # Otherwise it was moved before an interruption.
            files.put_in_place(path, output / path.name)
    by_split = {}
    for split in _splits(plan, settings):
        own = [shard for shard in shards if shard.split == split]
        by_split[split] = {
            "num_examples": sum(len(shard.records) for shard in own),
            "num_captions": plan.captions[split],
            **_modalities(plan, split, settings),
            "shards": [entries[shard.path] for shard in own],
        }
    manifest = {
        "frame_rate": settings.frame_rate,
        "sample_rate": settings.sample_rate,
        "short_side": settings.short_side,
        "jpeg_quality": settings.jpeg_quality,
        "labels": list(plan.labels),
        "splits": by_split,
        "sources": [_row(report) for report in plan.reports],
        "blocks": plan.blocks,
        "dropped": _dropped(plan),
        "settings": dataclasses.asdict(settings),
        **extra,
    }
    manifests.write_manifest(output, manifest)
    return manifests.read_manifest(output)


def _row(report: SourceReport) -> dict[str, Any]:
    """Return a row of the manifest; file names in a reason may not be UTF-8."""
    return {**dataclasses.asdict(report), "reason": printable_name(report.reason)}


def _dropped(plan: Plan) -> dict[str, int]:
    """Return the counts of what was left out of all sources, by reason."""
    total = plan.dropped.copy()
    for report in plan.reports:
        total.update(report.left_out)
    return {name: total[name] for name in sorted(total)}


def _splits(plan: Plan, settings: Settings) -> list[str]:
    """Return the splits in the order of the pattern if they are all in it, else by name."""
    used = {clip.span.split for unit in plan.units for clip in unit.clips}
    if used <= set(settings.split_pattern):
        return list(dict.fromkeys(settings.split_pattern))
    return sorted(used)


def _modalities(plan: Plan, split: str, settings: Settings) -> dict[str, int]:
    """Count the clips of a split with frames and with audio."""
    counts = {"num_with_video": 0, "num_with_audio": 0}
    for unit in plan.units:
        own = sum(clip.span.split == split for clip in unit.clips)
        shown = unit.source.kind != "sound"
        counts["num_with_video"] += own * shown
        counts["num_with_audio"] += own * (unit.info.has_audio and settings.sound != "none")
    return counts


def _assign(
    plan: Plan, settings: Settings, staging: pathlib.Path, work: pathlib.Path
) -> list[_Shard]:
    """Assign the records to shards."""
    where: dict[str, _Record] = {}
    by_split: dict[str, list[shard_writer.ClipSpan]] = collections.defaultdict(list)
    for unit in plan.units:
        path = unit.path(work)
        index = read_index(path)
        offsets = index["offsets"]
        for number, clip in enumerate(unit.clips):
            start, end, crc = offsets[number], offsets[number + 1], index["crc32c"][number]
            record = _Record(str(path), start, end, crc)
            where[clip.span.example_id] = record
            by_split[clip.span.split].append(clip.span)
    shards = []
    for split in _splits(plan, settings):
        assigned = shard_writer.assign_shards(by_split[split], settings.num_shards)
        for number, clips in enumerate(assigned):
            path = staging / shard_writer.shard_name(split, number, len(assigned))
            ids = [clip.example_id for clip in clips]
            key = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
            shards.append(_Shard(split, str(path), tuple(where[i] for i in ids), key))
    return shards


def _write_all(shards: Sequence[_Shard], runner: Runner) -> dict[str, dict[str, Any]]:
    """Write the shards that are missing; return the manifest entries of all, by path."""
    entries: dict[str, dict[str, Any]] = {}
    todo = []
    for shard in shards:
        staged = _staged(shard)
        if staged is None:
            todo.append(shard)
        else:
            entries[shard.path] = staged
    tasks = [Task(_write_shards, shard.path, (), ((shard, shard),)) for shard in todo]
    total = sum(len(shard.records) for shard in shards)
    before = total - sum(len(shard.records) for shard in todo)
    with Progress(total, "writing", "clips", initial=before) as shown:
        for shard, entry in runner.run(tasks):
            if isinstance(entry, Failure):
                raise ValueError(f"A shard could not be written: {entry.reason}.")
            entries[shard.path] = entry
            shown.update(len(shard.records))
    return entries


def _write_shards(shards: Sequence[_Shard]) -> Iterator[dict[str, Any]]:
    """Write shards, each followed by a note that it is complete, as a child's task."""
    for shard in shards:
        path = pathlib.Path(shard.path)
        records = (read_record(pathlib.Path(r.path), r.start, r.end, r.crc) for r in shard.records)
        entry = shard_writer.write_shard(path, records)
        write_checked_json({"key": shard.key, "entry": entry}, path.with_suffix(".json"))
        yield entry


def _staged(shard: _Shard) -> dict[str, Any] | None:
    """Return the entry of a shard that an interrupted run wrote, moved or not; None if none."""
    path = pathlib.Path(shard.path)
    try:
        note = read_checked_json(path.with_suffix(".json"))
        if note["key"] != shard.key:
            return None
        # The staging folder is OUTPUT/.partial/KEY/shards.
        moved = path.parents[3] / path.name
        if files.file_sha256(path if path.exists() else moved) != note["entry"]["sha256"]:
            raise ValueError(f"{path}: its SHA-256 differs from that of the written file.")
    except OSError:
        return None
    except ValueError as error:
        logger.warning("%s This shard is written again.", error)
        return None
    entry: dict[str, Any] = note["entry"]
    return entry
