# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verifies a directory of shards against its manifest, and repairs it into a new one."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmv_tf.data.integrity import damage, inspection
from mmv_tf.data.integrity.checks import DMVR_AUDIO, check_record
from mmv_tf.data.integrity.decoding import decode_problems
from mmv_tf.data.integrity.inspection import Finding
from mmv_tf.data.integrity.rules import Limits, packed_floats
from mmv_tf.data.records import framing, manifests, shard_writer
from mmv_tf.data.records import keys as keys_lib
from mmv_tf.data.records.keys import MMV, KeyMap
from mmv_tf.data.records.shard_files import ShardFolder
from mmv_tf.util import files
from mmv_tf.util.progress import Progress
from mmv_tf.util.storage import media, mirror

SIZE = "size"
CHECKSUM = "SHA-256"
UNLISTED = "not in the manifest"
SPLIT_COUNT = "split count"


@dataclasses.dataclass(frozen=True)
class Verification:
    """The result of verifying a directory.

    Attributes:
      directory: the directory that was verified.
      report: numbers of records written and good, and all findings.
      splits: numbers of records written and good, by split.
      notes: numbers of unusual but undamaged records (without audio, for example), by kind.
      shards: number of files verified.
    """

    directory: str
    report: damage.DamageReport
    splits: dict[str, dict[str, int]]
    notes: dict[str, int]
    shards: int

    @property
    def clean(self) -> bool:
        """True if there are no findings."""
        return not self.report.findings

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `write_json`."""
        return {
            "directory": self.directory,
            "clean": self.clean,
            "shards": self.shards,
            "records": {
                "written": self.report.written,
                "good": self.report.read,
                "damaged": self.report.reported,
            },
            "by_reason": self.report.by_reason,
            "splits": self.splits,
            "notes": self.notes,
            "findings": [dataclasses.asdict(finding) for finding in self.report.findings],
        }


def verify(
    directory: str | pathlib.Path,
    keys: KeyMap = MMV,
    pattern: str = "*.tfrecord*",
    limits: Limits | None = None,
    decode: bool = False,
    checksums: bool = True,
) -> Verification:
    """Verify every byte of every shard.

    Args:
      directory: path or URL; it needs a manifest unless `keys` are those of other tools.
      keys: feature names in the records.
      pattern: pattern for the names of shards if there is no manifest.
      limits: upper limits on records.
      decode: whether to decode every frame as well.
      checksums: whether to compare each shard's SHA-256 with the manifest's as well.

    Raises:
      ValueError: the directory or its manifest is missing, or there is nothing to verify.
    """
    folder = ShardFolder(directory)
    limits = Limits() if limits is None else limits
    manifest = manifests.read_manifest(folder.fetch_manifest()) if keys is MMV else None
    entries = _entries(folder, manifest, pattern)
    with Progress(len(entries), "verify", "shards") as progress:
        found = inspection.inspect_and_remember(
            entries,
            keys,
            manifests.expected_of(manifest),
            limits,
            folder.path / inspection.CACHE_FILE,
            decode,
            progress.update,
        )
    report = damage.report_of(list(found.values()))
    findings = list(report.findings)
    if manifest is not None:
        findings += _against_manifest(folder, manifest, entries, checksums)
    splits: dict[str, dict[str, int]] = {}
    notes: collections.Counter[str] = collections.Counter()
    for entry in entries:
        inspected = found[str(entry.path)]
        counts = splits.setdefault(entry.split or "all", {"written": 0, "good": 0})
        counts["written"] += inspected.written
        counts["good"] += inspected.good
        notes.update(inspected.notes)
    return Verification(
        folder.name,
        dataclasses.replace(report, findings=tuple(findings)),
        splits,
        dict(notes),
        len(entries),
    )


def repair(
    directory: str | pathlib.Path,
    output: str | pathlib.Path,
    keys: KeyMap = MMV,
    pattern: str = "*.tfrecord*",
    limits: Limits | None = None,
    decode: bool = False,
) -> Verification:
    """Write the good records to new shards of the same names, with a correct manifest.

    Audio that was stored as integers but read as floats is reinterpreted; other damaged records
    are left out. The old shards stay unchanged.

    Args:
      directory, keys, pattern, limits, decode: see `verify`.
      output: path or URL of a folder that does not exist yet.

    Returns:
      The verification of the new shards.

    Raises:
      ValueError: `output` already exists, or no good record is left.
    """
    folder, target = ShardFolder(directory), ShardFolder(output)
    if target.exists():
        raise ValueError(f"{target.name}: already exists; expected a new folder; remove it first.")
    limits = Limits() if limits is None else limits
    manifest = manifests.read_manifest(folder.fetch_manifest()) if keys is MMV else None
    entries = _entries(folder, manifest, pattern)
    expected = manifests.expected_of(manifest)
    seen: set[str] = set()
    written: dict[str, list[dict[str, Any]]] = {}
    modalities: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)

    def good_records(entry: manifests.ShardEntry) -> Iterator[bytes]:
        if not folder.holds(entry.name):
            return
        for item in inspection.items(entry, limits):
            if isinstance(item, framing.Gap):
                continue
            payload = item.payload
            checked = check_record(payload, keys, expected, limits)
            if [p.reason for p in checked.problems] == [DMVR_AUDIO]:
                payload = reinterpret_audio(payload, keys)
                checked = check_record(payload, keys, expected, limits)
            bad = checked.problems or (decode and decode_problems(payload, keys, limits))
            if bad or checked.example_id in seen:
                continue
            if checked.example_id:
                seen.add(checked.example_id)
            modalities[entry.split].update(_modalities(payload, keys))
            yield payload

    mirror.forget(target.path)
    with files.replacing(target.path) as temporary:
        temporary.mkdir()
        with Progress(len(entries), "repair", "shards") as progress:
            for entry in entries:
                path = temporary / entry.name
                own = shard_writer.write_shard(path, good_records(entry))
                progress.update()
                if not own["records"]:
                    path.unlink()  # A shard without records would count as damaged.
                    continue
                written.setdefault(entry.split, []).append(own)
        if not written:
            raise ValueError(f"{folder.name}: no good records are left; prepare the data again.")
        if manifest is not None:
            manifests.write_manifest(temporary, _new_manifest(manifest, written, modalities))
    mirror.push_folder(target.path, last=(manifests.MANIFEST,))
    return verify(output, keys, pattern, limits, decode)


def reinterpret_audio(payload: bytes, keys: KeyMap) -> bytes:
    """Correct a record whose samples are 32-bit integers stored as floats."""
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(payload)
    for step in example.feature_lists.feature_list[keys.waveform].feature:
        floats = packed_floats(step.float_list.SerializeToString())
        samples = floats.view("<i4").astype(np.float64) / 2**31
        step.float_list.value[:] = samples.astype(np.float32)
    return bytes(example.SerializeToString(deterministic=True))


def format_verification(verification: Verification, most: int = 50) -> str:
    """Format findings as a table by shard, offset and example, followed by the counts."""
    report = verification.report
    lines = []
    if report.findings:
        width = max(len("shard"), *(len(finding.shard) for finding in report.findings))
        lines.append(f"{'shard':<{width}} {'byte':>12} {'records':>8}  problem")
        for finding in report.findings[:most]:
            example = f" [{finding.example_id}]" if finding.example_id else ""
            lines.append(
                f"{finding.shard:<{width}} {finding.offset:>12} {finding.records:>8}  "
                f"{finding.reason}{example}: {finding.detail}"
            )
        if len(report.findings) > most:
            lines.append(f"... and {len(report.findings) - most} more; --output has them all")
        lines.append("")
    for split, counts in verification.splits.items():
        lines.append(f"{split}: {counts['good']} of {counts['written']} records are good")
    for note, count in sorted(verification.notes.items()):
        lines.append(f"{note}: {count} records (not damaged)")
    if verification.clean:
        lines.append(f"{verification.directory}: clean")
    else:
        reasons = ", ".join(
            f"{count} {reason}" if count else reason for reason, count in report.by_reason.items()
        )
        lines.append(f"{verification.directory}: damaged ({reasons})")
    return "\n".join(lines)


def _entries(
    folder: ShardFolder, manifest: dict[str, Any] | None, pattern: str
) -> list[manifests.ShardEntry]:
    return folder.found_shards(pattern) if manifest is None else folder.listed_shards(manifest)


def _against_manifest(
    folder: ShardFolder,
    manifest: Mapping[str, Any],
    entries: list[manifests.ShardEntry],
    checksums: bool,
) -> list[Finding]:
    """Compare the names, sizes, checksums and counts of the files with the manifest."""
    findings = []

    def add(shard: str, reason: str, detail: str) -> None:
        findings.append(Finding(shard, 0, "", reason, detail, records=0))

    for entry in entries:
        if not folder.holds(entry.name):
            continue  # The inspection reports it.
        size = folder.size(entry.name)
        if entry.bytes is not None and size != entry.bytes:
            add(entry.name, SIZE, f"it has {size} bytes, but the manifest states {entry.bytes}")
        elif checksums and entry.sha256 and _sha256(entry) != entry.sha256:
            add(entry.name, CHECKSUM, "the SHA-256 of the file differs from the manifest's")
    listed = {entry.name for entry in entries}
    for name in folder.names("*.tfrecord*"):
        if name not in listed:
            add(name, UNLISTED, "its records are not read")
    for split, content in manifest["splits"].items():
        count = sum(shard["records"] for shard in content["shards"])
        if count != content["num_examples"]:
            add(
                manifests.MANIFEST,
                SPLIT_COUNT,
                f"split {split} has {content['num_examples']} examples, but its shards have "
                f"{count}",
            )
    return findings


def _sha256(entry: manifests.ShardEntry) -> str:
    with media.at_hand(entry.path) as path:
        return files.file_sha256(path)


def _modalities(payload: bytes, keys: KeyMap) -> dict[str, int]:
    """Return what a record adds to the manifest's counts by modality."""
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(payload)
    lists, context = example.feature_lists.feature_list, example.context.feature
    is_video = keys_lib.ENCODED_MEDIA in context
    return {
        "num_with_video": int(keys.frames in lists or (is_video and keys_lib.FRAME_TIMES in lists)),
        "num_with_audio": int(
            keys.waveform in lists
            or keys.log_mel in lists
            or (is_video and keys_lib.SAMPLE_RATE in context)
        ),
    }


def _new_manifest(
    manifest: Mapping[str, Any],
    written: Mapping[str, list[dict[str, Any]]],
    modalities: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    for split, content in manifest["splits"].items():
        entries = written.get(split, [])
        count = sum(entry["records"] for entry in entries)
        counts = {"num_examples": count, **modalities.get(split, {})}
        splits[split] = {**content, **counts, "shards": entries}
        # Neighbors share captions, so the records do not show how many are left.
        splits[split].pop("num_captions", None)
    # Drop the fingerprint, or prepare_data would recognize the data as its own and complete it.
    kept = {key: value for key, value in manifest.items() if key != "fingerprint"}
    return {**kept, "splits": splits, "repaired": True}
