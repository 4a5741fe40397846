# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds damage in shards, and remembers where the good records are."""

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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from mmv_tf.data.integrity.checks import check_record
from mmv_tf.data.integrity.rules import Expected, Limits, Problem
from mmv_tf.data.records import framing
from mmv_tf.data.records.keys import KeyMap
from mmv_tf.data.records.shards import CHUNK_RECORDS, ShardEntry
from mmv_tf.util.configuration import read_checked_json, write_checked_json
from mmv_tf.version import __version__

logger = logging.getLogger(__name__)

CACHE_FILE = "inspection.json"
MISSING_SHARD = "missing shard"
RECORD_COUNT = "record count"
DUPLICATE_ID = "duplicate example id"
UNDECODABLE = "undecodable JPEG"
# Files looked at at once: reading overlaps with checking. Ours.
_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something wrong.

    Attributes:
      shard: name of the file.
      offset: of the record, or of the damaged stretch, in bytes.
      example_id: of the record, as far as it is known.
      reason: one of a fixed set; what is counted.
      detail: what was seen.
      records: how many records it stands for; 0 for what costs none.
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
    """What is in one shard.

    Attributes:
      segments: (offset, count) of the runs of good records, in order.
      chunks: the same, in runs of at most 16.
      findings: what is wrong; with the good records they account for all that was written.
      written: records that the shard should hold: as the manifest says, or as were found.
      notes: how many records are silent, without captions and so on; no damage.
    """

    segments: tuple[tuple[int, int], ...]
    chunks: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]
    written: int
    notes: dict[str, int]

    @property
    def good(self) -> int:
        """Records that can be read."""
        return sum(count for _, count in self.segments)


@dataclasses.dataclass(frozen=True)
class _Good:
    offset: int
    end: int
    identity: bytes


@dataclasses.dataclass(frozen=True)
class _Walked:
    good: list[_Good]
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
    """Looks at every byte of shards.

    Args:
      shards: which.
      keys: how the records name their features.
      expected: what the manifest says of each record.
      limits: the largest that is accepted.
      decode: also decode every frame, which takes many times as long.
      on_shard: called as each is done.

    Returns:
      By path, in the order given. A second record of the same id is a finding in the later one.
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
    """What is wrong with the first shard, in order, that anything is wrong with."""
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
    """As `inspect`, unless the very same was done before: in this process or as `cache` says.

    Args:
      shards, keys, expected, limits: see `inspect`.
      cache: a file to read and to write; one that can't be written is done without.
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


# What this process has looked at: a trainer makes several readers of the same shards.
_REMEMBERED: dict[str, dict[str, ShardInspection]] = {}
_MOST_REMEMBERED = 16


def write_cache(
    path: pathlib.Path, signature: str, inspections: dict[str, ShardInspection]
) -> None:
    """Keeps what an inspection found for the next program; a read-only directory goes without."""
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
    """As `inspect`, always anew, and leaves what it found where `inspect_cached` looks."""
    signature = _signature(shards, keys, expected, limits)
    found = inspect(shards, keys, expected, limits, decode, on_shard)
    _REMEMBERED[signature] = found
    write_cache(cache, signature, found)
    return found


def count_by_reason(findings: Iterable[Finding]) -> dict[str, int]:
    """Records lost, by reason, the most frequent first."""
    counts: collections.Counter[str] = collections.Counter()
    for finding in findings:
        counts[finding.reason] += finding.records
    return dict(counts.most_common())


def _walk(
    shard: ShardEntry, keys: KeyMap, expected: Expected, limits: Limits, decode: bool
) -> _Walked:
    good: list[_Good] = []
    findings: list[Finding] = []
    notes: collections.Counter[str] = collections.Counter()

    def report(offset: int, example_id: str, reason: str, detail: str) -> None:
        findings.append(Finding(shard.name, offset, example_id, reason, detail))

    before = ""
    try:
        for item in framing.walk(shard.path, limits.record_bytes):
            if isinstance(item, framing.Gap):
                where = f"{item.detail}; {item.end - item.offset} bytes"
                report(
                    item.offset, "", item.reason, where + (f", after {before}" if before else "")
                )
                continue
            checked = check_record(item.payload, keys, expected, limits)
            problems = list(checked.problems)
            if decode and not problems:
                problems += decode_problems(item.payload, keys)
            before = checked.example_id or before
            notes.update(checked.notes)
            if problems:
                # A record is counted once, for the first that is wrong with it.
                detail = "; ".join(
                    [problems[0].detail, *(f"{p.reason}: {p.detail}" for p in problems[1:])]
                )
                report(item.offset, checked.example_id, problems[0].reason, detail)
            else:
                good.append(_Good(item.offset, item.end, _identity(checked.example_id)))
    except FileNotFoundError:
        report(0, "", MISSING_SHARD, "there is no such file")
    except OSError as error:
        report(0, "", framing.UNREADABLE, error.strerror or str(error))
    return _Walked(good, findings, notes)


def decode_problems(payload: bytes, keys: KeyMap) -> list[Problem]:
    """What keeps a record's frames from being decoded whole."""
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(payload)
    for index, step in enumerate(example.feature_lists.feature_list[keys.frames].feature):
        try:
            tf.io.decode_jpeg(step.bytes_list.value[0], channels=3)
        except tf.errors.InvalidArgumentError as error:
            return [Problem(UNDECODABLE, f"frame {index}: {' '.join(error.message.split())}")]
    return []


def _identity(example_id: str) -> bytes:
    """Sixteen bytes stand for an id: a hundred million of them fit in memory."""
    return hashlib.blake2b(example_id.encode(), digest_size=16).digest() if example_id else b""


def _judge(shard: ShardEntry, walked: _Walked, seen: dict[bytes, str]) -> ShardInspection:
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
    """Makes the good and the reported records add up to what the manifest says was written."""
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
    stretches = [
        index
        for index, finding in enumerate(findings)
        if finding.reason in _STRETCHES or finding.reason in whole_shard
    ]
    if unexplained > 0 and stretches:
        # A damaged stretch may have held several; the last one's end is the least certain.
        last = findings[stretches[-1]]
        findings[stretches[-1]] = dataclasses.replace(last, records=last.records + unexplained)
        return findings, stated
    found = good + len(findings)
    detail = f"the shard holds {found} records, the manifest says {stated}"
    findings.append(Finding(shard.name, 0, "", RECORD_COUNT, detail, max(unexplained, 0)))
    return findings, max(stated, found)


_STRETCHES = (
    framing.LENGTH_CHECKSUM,
    framing.PAYLOAD_CHECKSUM,
    framing.TRUNCATED,
)


def _signature(
    shards: Sequence[ShardEntry], keys: KeyMap, expected: Expected, limits: Limits
) -> str:
    """Changes whenever an inspection could find something else."""
    content: list[Any] = [
        __version__,
        dataclasses.asdict(keys),
        dataclasses.asdict(expected),
        dataclasses.asdict(limits),
    ]
    for shard in shards:
        try:
            stat = os.stat(shard.path)
            state: Any = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        except OSError:
            state = None
        content.append([str(shard.path), shard.records, state])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read_cache(path: pathlib.Path, signature: str) -> dict[str, ShardInspection] | None:
    """What a cache says; None if it is not there, damaged or of other shards."""
    try:
        content = read_checked_json(path)
    except OSError:
        return None
    except ValueError as error:
        logger.warning("%s The shards are looked through again.", error)
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
        return None  # Of another version.


def _pairs(values: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(offset), int(count)) for offset, count in values)
