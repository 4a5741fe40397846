# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The good records of a directory's split."""

from __future__ import annotations

import contextlib
import functools
import pathlib
from typing import Any

import ml_collections

from mmv_tf.data.integrity import damage, inspection
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.records import framing
from mmv_tf.data.records.keys import KeyMap, key_map
from mmv_tf.data.records.shards import (
    CHUNK_RECORDS,
    ShardEntry,
    expected_of,
    found_shards,
    listed_shards,
)
from mmv_tf.data.records.writer import check_shards, read_manifest

_INSPECT = ("auto", "always", "never")
# With inspect="auto", shards of up to so much are looked through before they are read: a second or
# two, once. Ours.
_AUTO_INSPECT_BYTES = 1 << 30
# Ours: of fewer shards the order alone is no shuffle.
_FEW_SHARDS = 256
# Ours: what a graph holds of them.
_MOST_CHUNKS = 1 << 16


class Records:
    """The records of a split, ours or others'.

    Args:
      config: as `default_config`.
      limits: what a record may have.
      sample_rate: of the sound in records of others, if the settings don't say; None if no sound
        is read.

    Raises:
      ValueError: `config.records` or `config.inspect` is none of those there are.
    """

    def __init__(self, config: ml_collections.ConfigDict, limits: Limits, sample_rate: int | None):
        self.config = config
        self.limits = limits
        self.keys: KeyMap = key_map(config.records)
        self._sample_rate = sample_rate
        if config.inspect not in _INSPECT:
            raise ValueError(f"inspect is {config.inspect!r}; expected one of {_INSPECT}.")

    @property
    def directory(self) -> pathlib.Path:
        """Where the shards are."""
        return pathlib.Path(self.config.directory)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The data's `manifest.json`; for records of others, what the settings say."""
        if self.config.records == "mmv":
            return read_manifest(self.directory)
        return {
            "frame_rate": self.config.stored_frame_rate or self.config.frame_rate,
            "sample_rate": self.config.stored_sample_rate or self._sample_rate,
            "labels": [],
        }

    @property
    def pictures(self) -> bool:
        """Whether every record has frames; otherwise some are of sound alone."""
        return self.config.records != "mmv" or expected_of(self.manifest).all_have_frames

    def splits(self) -> list[str]:
        """Splits named by `config.split`, which joins several with "+"."""
        names: list[str] = self.config.split.split("+")
        have = self.manifest["splits"]
        for name in names:
            if name not in have:
                raise ValueError(f"There is no split {name!r} in {self.directory}: {list(have)}.")
        return names

    def shards(self) -> list[ShardEntry]:
        """The split's shards; for records of others, all that match `config.files`."""
        if self.config.records != "mmv":
            return self._all_shards
        names = self.splits()
        return [shard for name in names for shard in self._all_shards if shard.split == name]

    def filled_shards(self) -> list[ShardEntry]:
        """The split's shards that have good records."""
        return [shard for shard in self.shards() if self.count(shard)]

    def num_good(self) -> int:
        """Good records of the split; all, if nobody looked."""
        if self.inspected:
            return self.damage().read
        return sum(shard.records or 0 for shard in self.shards())

    def count(self, shard: ShardEntry) -> int:
        """Good records of a shard; all, if nobody looked."""
        if self._inspections is not None:
            return self._inspections[str(shard.path)].good
        return shard.records or 0

    def segments(self, shard: ShardEntry) -> tuple[tuple[int, int], ...]:
        """Stretches of good records as (byte to start at, number of records)."""
        if self._inspections is None:
            return ((0, self.count(shard)),)
        return self._inspections[str(shard.path)].segments

    def chunks(self, shard: ShardEntry) -> tuple[tuple[int, int], ...]:
        """Stretches of at most some 16 good records, as `segments`.

        Of a shard that nobody looked through and of which the manifest does not say where its
        records begin, its headers are read, if the split's shards are few; else it is one stretch.
        """
        if self._inspections is not None:
            return self._inspections[str(shard.path)].chunks
        count, offsets = self.count(shard), shard.offsets
        if not offsets and len(self.shards()) < _FEW_SHARDS:
            offsets = framing.chunk_offsets(shard.path, CHUNK_RECORDS) or ()
        if len(offsets) != -(-count // CHUNK_RECORDS) or offsets[0] != 0:
            return self.segments(shard)
        # So many at a time that the split has not too many chunks.
        step = -(-sum(s.records or 0 for s in self.shards()) // (CHUNK_RECORDS * _MOST_CHUNKS))
        starts = range(0, count, step * CHUNK_RECORDS)
        return tuple(
            (offset, min(step * CHUNK_RECORDS, count - start))
            for offset, start in zip(offsets[::step], starts, strict=True)
        )

    @property
    def inspected(self) -> bool:
        """Whether the shards were looked through; the first call may do it, which takes time."""
        return self._inspections is not None

    def damage(self) -> damage.DamageReport:
        """See `Reader.damage`."""
        if self._inspections is None:
            check_shards(self.directory, self.manifest)
            count = sum(shard.records or 0 for shard in self.shards())
            return damage.DamageReport(count, count)
        found = [self._inspections[str(shard.path)] for shard in self.shards()]
        report = damage.report_of(found)
        damage.enforce(
            report, self.config.on_bad_record, self.config.max_bad_fraction, str(self.directory)
        )
        return report

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """See `Reader.explained`."""
        return damage.explained(
            lambda: inspection.first_findings(
                self.shards(), self.keys, expected_of(self.manifest), self.limits
            )
        )

    @functools.cached_property
    def _all_shards(self) -> list[ShardEntry]:
        if self.config.records != "mmv":
            return found_shards(self.directory, self.config.files)
        return listed_shards(self.directory, self.manifest)

    @functools.cached_property
    def _inspections(self) -> dict[str, inspection.ShardInspection] | None:
        """What was found in all of the directory's shards; None if nobody looks."""
        config, shards = self.config, self._all_shards
        skip = config.on_bad_record == "skip"
        if not skip and config.records == "mmv":
            total = sum(shard.bytes or 0 for shard in shards)
            if config.inspect == "never":
                return None
            if config.inspect == "auto" and total > _AUTO_INSPECT_BYTES:
                return None
        thorough = skip or config.inspect == "always"
        cache = self.directory / inspection.CACHE_FILE if thorough else None
        return inspection.inspect_cached(
            shards, self.keys, expected_of(self.manifest), self.limits, cache
        )
