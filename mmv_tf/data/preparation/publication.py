# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Merging of blocks into shards, and their atomic renaming into place."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import logging
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmv_tf.data.preparation.blocks import DamagedBlockError, read_record
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.report import SourceReport
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records import manifests, shard_writer
from mmv_tf.data.records.manifests import VIDEO_STORE
from mmv_tf.util import files
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.progress import Progress
from mmv_tf.util.text_files import printable_name
from mmv_tf.util.worker_pool import Failure, Runner, Task

logger = logging.getLogger(__name__)


SHARD_NAME = re.compile(r".+-\d{5}-of-\d{5}\.tfrecord")


@dataclasses.dataclass(frozen=True)
class _Record:
    """Position of a record in a block, and whether its class ids are not those of the shards."""

    block: str
    start: int
    end: int
    crc: int
    relabel: bool


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A shard to write."""

    split: str
    path: str
    folder: WorkFolder  # Of the blocks.
    records: tuple[_Record, ...]
    labels: dict[str, int]
    key: str  # Hash of the example and class ids, which identifies a shard written earlier.


def publish(
    plan: Plan,
    settings: Settings,
    output: pathlib.Path,
    folder: WorkFolder,
    extra: dict[str, Any],
    runner: Runner,
) -> dict[str, Any]:
    """Write all shards in the work folder, move them to the output and write the manifest.

    Args:
      plan: the decoded units.
      settings: contents of the shards.
      output: folder for the shards.
      folder: the work folder with the blocks.
      extra: further entries of the manifest.
      runner: runs the writing tasks.

    Returns:
      The manifest.
    """
    staging = folder.path / "shards"
    staging.mkdir(exist_ok=True)
    files.remove_unfinished(staging)
    shards = _assign(plan, settings, staging, folder)
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
        **_storing(settings),
        "labels": list(plan.labels),
        "splits": by_split,
        "sources": [_row(report) for report in plan.reports],
        "blocks": plan.blocks,
        "dropped": _dropped(plan),
        "settings": settings.stated(),
        **extra,
    }
    manifests.write_manifest(output, manifest)
    return manifests.read_manifest(output)


def _storing(settings: Settings) -> dict[str, Any]:
    """Return the manifest's entries on how frames and audio are stored."""
    if settings.store == VIDEO_STORE:
        return {"store": VIDEO_STORE, "video_crf": settings.video_crf}
    return {"jpeg_quality": settings.jpeg_quality}


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
    plan: Plan, settings: Settings, staging: pathlib.Path, folder: WorkFolder
) -> list[_Shard]:
    """Assign the records to shards."""
    where: dict[str, _Record] = {}
    by_split: dict[str, list[shard_writer.ClipSpan]] = collections.defaultdict(list)
    for unit in plan.units:
        block = plan.stored[unit.index]
        offsets, checksums = block.index["offsets"], block.index["crc32c"]
        relabel = any(plan.labels[name] != i for name, i in block.index["labels"].items())
        for number, clip in enumerate(unit.clips):
            start, end = offsets[number], offsets[number + 1]
            record = _Record(block.name, start, end, checksums[number], relabel)
            where[clip.span.example_id] = record
            by_split[clip.span.split].append(clip.span)
    shards = []
    for split in _splits(plan, settings):
        assigned = shard_writer.assign_shards(by_split[split], settings.num_shards)
        for number, clips in enumerate(assigned):
            path = staging / shard_writer.shard_name(split, number, len(assigned))
            ids = [clip.example_id for clip in clips]
            key = hashlib.sha256(json.dumps([ids, plan.labels]).encode()).hexdigest()
            records = tuple(where[i] for i in ids)
            labels = plan.labels if any(record.relabel for record in records) else {}
            shards.append(_Shard(split, str(path), folder, records, labels, key))
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
        entry = shard_writer.write_shard(path, (_read(shard, record) for record in shard.records))
        write_checked_json({"key": shard.key, "entry": entry}, path.with_suffix(".json"))
        yield entry


def _read(shard: _Shard, record: _Record) -> bytes:
    """Return a record; remove its block if it is damaged, so that a next run decodes it again."""
    try:
        found = read_record(shard.folder, record.block, record.start, record.end, record.crc)
    except DamagedBlockError:
        shard.folder.remove(record.block)
        raise
    return shard_writer.with_class_ids(found, shard.labels) if record.relabel else found


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
