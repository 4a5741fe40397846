# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Assigns records to shards, and writes the shards from blocks.

If the output is local, shards wait in the work folder until all are written. In a store, where
moving means copying, they are written directly to the output and count once the manifest exists.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmv_tf.data.preparation.blocks import DamagedBlockError, read_record
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.work_folder import READERS, WorkFolder
from mmv_tf.data.records import shard_writer
from mmv_tf.util import files
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.progress import Progress
from mmv_tf.util.read_ahead import read_ahead
from mmv_tf.util.storage.store import Entry
from mmv_tf.util.worker_pool import Failure, Runner, Task

logger = logging.getLogger(__name__)

_STAGING = "shards"


@dataclasses.dataclass(frozen=True)
class _Record:
    """A record's position in a block, and whether its class ids differ from the shards' ids."""

    block: str
    start: int
    end: int
    crc: int
    relabel: bool


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to write.

    Attributes:
      split: the shard's split.
      name: its file's name.
      work: work folder with the blocks.
      output: output folder.
      records: positions of its records, in order.
      labels: class ids by name, for records with other ids.
      key: hash of the example and class ids, which identifies a shard written earlier.
    """

    split: str
    name: str
    work: WorkFolder
    output: WorkFolder
    records: tuple[_Record, ...]
    labels: dict[str, int]
    key: str

    @property
    def folder(self) -> WorkFolder:
        """The folder that the shard is written to."""
        return self.output if self.output.is_remote else self.work.within(_STAGING)

    @property
    def note(self) -> str:
        """The name of the note in the work folder that marks the shard as complete."""
        return f"{_STAGING}/{self.name.removesuffix('.tfrecord')}.json"


def splits_of(plan: Plan, settings: Settings) -> list[str]:
    """Return the splits, in the order of the pattern if it contains them all, else by name."""
    used = {clip.span.split for unit in plan.units for clip in unit.clips}
    if used <= set(settings.split_pattern):
        return list(dict.fromkeys(settings.split_pattern))
    return sorted(used)


def assign(plan: Plan, settings: Settings, work: WorkFolder, output: WorkFolder) -> list[Shard]:
    """Assign a decoded plan's records to shards."""
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
    for split in splits_of(plan, settings):
        assigned = shard_writer.assign_shards(by_split[split], settings.num_shards)
        for number, clips in enumerate(assigned):
            name = shard_writer.shard_name(split, number, len(assigned))
            ids = [clip.example_id for clip in clips]
            key = hashlib.sha256(json.dumps([ids, plan.labels]).encode()).hexdigest()
            records = tuple(where[i] for i in ids)
            labels = plan.labels if any(record.relabel for record in records) else {}
            shards.append(Shard(split, name, work, output, records, labels, key))
    return shards


def write_all(
    shards: Sequence[Shard], runner: Runner, present: Mapping[str, Entry]
) -> dict[str, dict[str, Any]]:
    """Write the shards that are missing; return the manifest entries of all shards by name.

    Args:
      shards: the shards.
      runner: runner for the writing tasks.
      present: objects that exist in the output, if it is in a store.
    """
    entries: dict[str, dict[str, Any]] = {}
    todo = []
    for shard in shards:
        written = _written(shard, present)
        if written is None:
            todo.append(shard)
        else:
            entries[shard.name] = written
    tasks = [Task(_write_shards, shard.name, (), ((shard, shard),)) for shard in todo]
    total = sum(len(shard.records) for shard in shards)
    before = total - sum(len(shard.records) for shard in todo)
    with Progress(total, "writing", "clips", initial=before) as shown:
        for shard, entry in runner.run(tasks):
            if isinstance(entry, Failure):
                raise ValueError(f"A shard could not be written: {entry.reason}.")
            entries[shard.name] = entry
            shown.update(len(shard.records))
    return entries


def put_in_place(shards: Sequence[Shard]) -> None:
    """Move shards that wait in the work folder to the output."""
    for shard in shards:
        path = shard.folder.path / shard.name
        if not shard.output.is_remote and path.exists():  # Otherwise moved before an interruption.
            files.put_in_place(path, shard.output.path / shard.name)


def _write_shards(shards: Sequence[Shard]) -> Iterator[dict[str, Any]]:
    """Write shards, each followed by a note that it is complete; run as a child process's task."""
    for shard in shards:
        entry = shard_writer.write_shard(shard.folder.path / shard.name, _records(shard))
        tag = shard.folder.send(shard.name)
        with shard.work.writing(shard.note) as temporary:
            write_checked_json({"key": shard.key, "entry": entry, "tag": tag}, temporary)
        yield entry


def _records(shard: Shard) -> Iterator[bytes]:
    def read(record: _Record) -> bytes:
        return _read(shard, record)

    if shard.work.is_remote:
        return read_ahead(read, shard.records, READERS)
    return map(read, shard.records)


def _read(shard: Shard, record: _Record) -> bytes:
    """Return a record; if damaged, remove its block so that the next run decodes it again."""
    try:
        found = read_record(shard.work, record.block, record.start, record.end, record.crc)
    except DamagedBlockError:
        shard.work.remove([record.block])
        raise
    return shard_writer.with_class_ids(found, shard.labels) if record.relabel else found


def _written(shard: Shard, present: Mapping[str, Entry]) -> dict[str, Any] | None:
    """Return the entry of a shard that an interrupted run wrote, moved or not; None if missing."""
    try:
        if shard.output.is_remote and shard.name not in present:
            return None
        note = read_checked_json(shard.work.fetched(shard.note))
        if note["key"] != shard.key:
            return None
        _check_written(shard, note, present)
    except OSError:
        return None
    except ValueError as error:
        logger.warning("%s Writing this shard again.", error)
        return None
    entry: dict[str, Any] = note["entry"]
    return entry


def _check_written(shard: Shard, note: Mapping[str, Any], present: Mapping[str, Entry]) -> None:
    """Raise a ValueError if a shard differs from its note."""
    entry = note["entry"]
    if shard.output.is_remote:
        found = present[shard.name]
        if (found.size, found.tag) != (entry["bytes"], note["tag"]):
            raise ValueError(f"{shard.output.place}/{shard.name}: differs from what was written.")
        return
    staged = shard.folder.path / shard.name
    path = staged if staged.exists() else shard.output.path / shard.name
    if files.file_sha256(path) != entry["sha256"]:
        raise ValueError(f"{staged}: its SHA-256 differs from that of the written file.")
