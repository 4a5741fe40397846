# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Inspects shards for damage and caches the positions of good records."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from mmv_tf.data.integrity.checks import check_record
from mmv_tf.data.integrity.decoding import decode_problems
from mmv_tf.data.integrity.rules import Expected, Limits
from mmv_tf.data.records import framing
from mmv_tf.data.records.keys import KeyMap
from mmv_tf.data.records.manifests import CHUNK_RECORDS, ShardEntry
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.util.storage.errors import StorageError
from mmv_tf.util.storage.media import at_hand
from mmv_tf.util.storage.urls import url_of
from mmv_tf.version import __version__

logger = logging.getLogger(__name__)

CACHE_FILE = "inspection.json"
MISSING_SHARD = "missing shard"
RECORD_COUNT = "record count"
DUPLICATE_ID = "duplicate example id"
# Ours: number of shards inspected at the same time, so that reading overlaps with checking.
_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """A problem found in a shard.

    Attributes:
      shard: the file's name.
      offset: offset of the record or of the damaged bytes.
      example_id: the record's id; "" if unknown.
      reason: kind of problem, from a fixed set; findings are counted by it.
      detail: description of the problem.
      records: number of records lost, which may be 0.
    """

    shard: str
    offset: int
    example_id: str
    reason: str
    detail: str
    records: int = 1

    def __str__(self) -> str:
        named = f", example {self.example_id}" if self.example_id else ""
        return f"{self.shard} at byte {self.offset}{named}: {self.reason} ({self.detail})"


@dataclasses.dataclass(frozen=True)
class ShardInspection:
    """The result of inspecting one shard.

    Attributes:
      segments: (offset, count) of each run of good records, in order.
      chunks: the same, but in runs of at most 16 records.
      findings: problems found; good records plus records lost equal `written`.
      written: number of records that the shard should hold, as the manifest states or as found.
      notes: numbers of unusual but undamaged records, such as silent ones, by kind.
    """

    segments: tuple[tuple[int, int], ...]
    chunks: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]
    written: int
    notes: dict[str, int]

    @property
    def good(self) -> int:
        """Number of records that can be read."""
        return sum(count for _, count in self.segments)


@dataclasses.dataclass(frozen=True)
class _GoodRecord:
    offset: int
    end: int
    identity: bytes


@dataclasses.dataclass(frozen=True)
class _WalkedShard:
    good: list[_GoodRecord]
    findings: list[Finding]
    notes: collections.Counter[str]


def inspect(
    shards: Sequence[ShardEntry],
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    decode: bool = False,
    on_shard: Callable[[], None] = lambda: None,
) -> dict[str, ShardInspection]:
    """Inspect every byte of shards.

    Args:
      shards: the shards to inspect.
      keys: feature names in the records.
      expected: properties that the manifest states for every record.
      limits: upper limits on records.
      decode: whether to decode every frame as well, which takes many times as long.
      on_shard: called after each shard.

    Returns:
      Inspections by path, in the given order. A duplicate id is a finding in the later shard.
    """
    results: dict[str, ShardInspection] = {}
    seen: dict[bytes, str] = {}
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        walks = pool.map(lambda shard: _walk(shard, keys, expected, limits, decode), shards)
        for shard, walked in zip(shards, walks, strict=True):
            results[str(shard.path)] = _judge(shard, walked, seen)
            on_shard()
    return results


def first_findings(
    shards: Sequence[ShardEntry], keys: KeyMap, expected: Expected, limits: Limits
) -> list[Finding]:
    """Return the findings for the first shard that has any."""
    seen: dict[bytes, str] = {}
    for shard in shards:
        findings = _judge(shard, _walk(shard, keys, expected, limits, decode=False), seen).findings
        if findings:
            return list(findings)
    return []


def inspect_cached(
    shards: Sequence[ShardEntry],
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    cache: pathlib.Path | None,
) -> dict[str, ShardInspection]:
    """Inspect shards, or reuse an inspection from this process or from `cache`.

    Args:
      shards, keys, expected, limits: see `inspect`.
      cache: file to read and write; ignored if it cannot be written.
    """
    signature = _signature(shards, keys, expected, limits)
    remembered = _REMEMBERED.get(signature)
    if remembered is None and cache is not None:
        remembered = _read_cache(cache, signature)
    if remembered is None:
        remembered = inspect(shards, keys, expected, limits)
        if cache is not None:
            write_cache(cache, signature, remembered)
    _REMEMBERED[signature] = remembered
    while len(_REMEMBERED) > _MOST_REMEMBERED:
        _REMEMBERED.pop(next(iter(_REMEMBERED)))
    return remembered


# Inspections by this process: a trainer creates several readers of the same shards.
_REMEMBERED: dict[str, dict[str, ShardInspection]] = {}
_MOST_REMEMBERED = 16


def write_cache(
    path: pathlib.Path, signature: str, inspections: dict[str, ShardInspection]
) -> None:
    """Save inspections for later programs; do nothing if the directory is read-only."""
    content = {
        "signature": signature,
        "shards": {path: dataclasses.asdict(found) for path, found in inspections.items()},
    }
    with contextlib.suppress(OSError):
        write_checked_json(content, path)


def inspect_and_remember(
    shards: Sequence[ShardEntry],
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    cache: pathlib.Path,
    decode: bool,
    on_shard: Callable[[], None],
) -> dict[str, ShardInspection]:
    """Inspect shards without using the caches, and update the caches of `inspect_cached`."""
    signature = _signature(shards, keys, expected, limits)
    found = inspect(shards, keys, expected, limits, decode, on_shard)
    _REMEMBERED[signature] = found
    write_cache(cache, signature, found)
    return found


def count_by_reason(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the numbers of lost records by reason, most frequent first."""
    counts: collections.Counter[str] = collections.Counter()
    for finding in findings:
        counts[finding.reason] += finding.records
    return dict(counts.most_common())


def _walk(
    shard: ShardEntry, keys: KeyMap, expected: Expected, limits: Limits, decode: bool
) -> _WalkedShard:
    good: list[_GoodRecord] = []
    findings: list[Finding] = []
    notes: collections.Counter[str] = collections.Counter()

    def report(offset: int, example_id: str, reason: str, detail: str) -> None:
        findings.append(Finding(shard.name, offset, example_id, reason, detail))

    before = ""
    try:
        for item in items(shard, limits):
            if isinstance(item, framing.Gap):
                where = f"{item.detail}; {item.end - item.offset} bytes"
                report(
                    item.offset, "", item.reason, where + (f", after {before}" if before else "")
                )
                continue
            checked = check_record(item.payload, keys, expected, limits)
            problems = list(checked.problems)
            if decode and not problems:
                problems += decode_problems(item.payload, keys, limits)
            before = checked.example_id or before
            notes.update(checked.notes)
            if problems:
                # A record counts once, for its first problem.
                detail = "; ".join(
                    [problems[0].detail, *(f"{p.reason}: {p.detail}" for p in problems[1:])]
                )
                report(item.offset, checked.example_id, problems[0].reason, detail)
            else:
                good.append(_GoodRecord(item.offset, item.end, _identity(checked.example_id)))
    except FileNotFoundError:
        report(0, "", MISSING_SHARD, "no such file")
    except StorageError:
        raise  # An error of the store, not of the shard.
    except OSError as error:
        report(0, "", framing.UNREADABLE, error.strerror or str(error))
    return _WalkedShard(good, findings, notes)


def items(shard: ShardEntry, limits: Limits) -> Iterator[framing.Record | framing.Gap]:
    """Yield the contents of a shard; a shard in a store is downloaded temporarily."""
    with at_hand(shard.path) as path:
        yield from framing.walk(path, limits.record_bytes)


def _identity(example_id: str) -> bytes:
    """Return a 16-byte hash of an id; a hundred million of them fit in memory."""
    return hashlib.blake2b(example_id.encode(), digest_size=16).digest() if example_id else b""


def _judge(shard: ShardEntry, walked: _WalkedShard, seen: dict[bytes, str]) -> ShardInspection:
    findings = list(walked.findings)
    segments: list[list[int]] = []
    chunks: list[list[int]] = []
    last_end = None
    for record in walked.good:
        if record.identity and record.identity in seen:
            findings.append(
                Finding(
                    shard.name,
                    record.offset,
                    "",
                    DUPLICATE_ID,
                    f"the same id as a record in {seen[record.identity]}",
                )
            )
            continue
        if record.identity:
            seen[record.identity] = shard.name
        follows = record.offset == last_end
        for runs, most in ((segments, math.inf), (chunks, CHUNK_RECORDS)):
            if follows and runs[-1][1] < most:
                runs[-1][1] += 1
            else:
                runs.append([record.offset, 1])
        last_end = record.end
    good = sum(count for _, count in segments)
    findings.sort(key=lambda finding: finding.offset)
    written = good + len(findings)
    if shard.records is not None:
        findings, written = _account(shard, good, findings)
    return ShardInspection(
        tuple((offset, count) for offset, count in segments),
        tuple((offset, count) for offset, count in chunks),
        tuple(findings),
        written,
        dict(walked.notes),
    )


def _account(shard: ShardEntry, good: int, findings: list[Finding]) -> tuple[list[Finding], int]:
    """Make good and reported records add up to the number in the manifest."""
    stated = cast(int, shard.records)
    lost = stated - good
    whole_shard = (MISSING_SHARD, framing.EMPTY, framing.UNREADABLE)
    findings = [
        dataclasses.replace(finding, records=0)
        if finding.reason in whole_shard and lost <= 0
        else finding
        for finding in findings
    ]
    unexplained = lost - sum(finding.records for finding in findings)
    if unexplained == 0:
        return findings, stated
    ranges = [
        index
        for index, finding in enumerate(findings)
        if finding.reason in _DAMAGED_RANGES or finding.reason in whole_shard
    ]
    if unexplained > 0 and ranges:
        # A damaged range may have held several records; the last one's end is least certain.
        last = findings[ranges[-1]]
        findings[ranges[-1]] = dataclasses.replace(last, records=last.records + unexplained)
        return findings, stated
    found = good + len(findings)
    detail = f"the shard holds {found} records, but the manifest states {stated}"
    findings.append(Finding(shard.name, 0, "", RECORD_COUNT, detail, max(unexplained, 0)))
    return findings, max(stated, found)


_DAMAGED_RANGES = (
    framing.LENGTH_CHECKSUM,
    framing.PAYLOAD_CHECKSUM,
    framing.TRUNCATED,
)


def _signature(
    shards: Sequence[ShardEntry], keys: KeyMap, expected: Expected, limits: Limits
) -> str:
    """Return a hash that changes whenever the result of an inspection could change."""
    content: list[Any] = [
        __version__,
        dataclasses.asdict(keys),
        dataclasses.asdict(expected),
        dataclasses.asdict(limits),
    ]
    for shard in shards:
        content.append([str(shard.path), shard.records, _state(shard)])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _state(shard: ShardEntry) -> list[Any] | None:
    """Return values that change whenever a shard changes; None if it is missing."""
    if url_of(shard.path) is not None:
        return [shard.bytes, shard.sha256, shard.tag]
    try:
        stat = os.stat(shard.path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _read_cache(path: pathlib.Path, signature: str) -> dict[str, ShardInspection] | None:
    """Return cached inspections; None if they are missing, damaged or belong to other shards."""
    try:
        content = read_checked_json(path)
    except OSError:
        return None
    except ValueError as error:
        logger.warning("%s Inspecting the shards again.", error)
        return None
    try:
        if content["signature"] != signature:
            return None
        return {
            name: ShardInspection(
                segments=_pairs(entry["segments"]),
                chunks=_pairs(entry["chunks"]),
                findings=tuple(Finding(**finding) for finding in entry["findings"]),
                written=int(entry["written"]),
                notes=entry["notes"],
            )
            for name, entry in content["shards"].items()
        }
    except (ValueError, KeyError, TypeError):
        return None  # Written by another version.


def _pairs(values: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(offset), int(count)) for offset, count in values)
