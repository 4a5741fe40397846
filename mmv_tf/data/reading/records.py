# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The good records in a split of a directory."""

from __future__ import annotations

import contextlib
import functools
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections

from mmv_tf.data.integrity import damage, inspection
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading.chunk_cache import ChunkCache
from mmv_tf.data.reading.remote_chunks import ChunkSource
from mmv_tf.data.reading.settings import CACHE_GB
from mmv_tf.data.records import framing
from mmv_tf.data.records.keys import KeyMap, key_map
from mmv_tf.data.records.manifests import (
    CHUNK_RECORDS,
    ShardEntry,
    expected_of,
    read_manifest,
)
from mmv_tf.data.records.shard_files import ShardFolder
from mmv_tf.util.storage.media import at_hand
from mmv_tf.util.storage.urls import cache_folder

_INSPECT = ("auto", "always", "never")
# Ours: with inspect="auto", shards of up to this total size are inspected before they are
# read, which takes a second or two, once.
_AUTO_INSPECT_BYTES = 1 << 30
# Ours: with fewer shards, their order alone does not shuffle enough.
_FEW_SHARDS = 256
# Ours: limit on the number of chunks that a graph holds.
_MOST_CHUNKS = 1 << 16
# Subfolder for chunks in the folder of mirrored objects. No URL scheme begins with a dot.
_CACHE = ".chunks"


class Records:
    """A split's records, in our format or that of another tool.

    Args:
      config: settings; see `default_config`.
      limits: upper limits on records.
      sample_rate: sample rate of the audio in other tools' records, unless the settings state it;
        None if no audio is read.

    Raises:
      ValueError: `config.records` or `config.inspect` has an unknown value.
    """

    def __init__(self, config: ml_collections.ConfigDict, limits: Limits, sample_rate: int | None):
        self.config = config
        self.limits = limits
        self.keys: KeyMap = key_map(config.records)
        self._sample_rate = sample_rate
        if config.inspect not in _INSPECT:
            raise ValueError(f"inspect is {config.inspect!r}; expected one of {_INSPECT}.")

    @functools.cached_property
    def folder(self) -> ShardFolder:
        """The shards' folder."""
        return ShardFolder(self.config.directory)

    @property
    def directory(self) -> pathlib.Path:
        """The shards' directory; for shards in a store, their mirror."""
        return self.folder.path

    @functools.cached_property
    def source(self) -> ChunkSource:
        """The source of the chunks, for shards in a store.

        Raises:
          ValueError: the cache's size is not a number of at least 0.
        """
        gigabytes = self.config.get("cache_gb", CACHE_GB)
        if not 0 <= gigabytes < math.inf:
            raise ValueError(f"data.cache_gb is {gigabytes!r}; expected 0 (no cache) or more.")
        directory = self.config.get("cache_dir", "") or cache_folder() / _CACHE
        return ChunkSource(
            ChunkCache(pathlib.Path(directory), round(gigabytes * 1e9)),
            lambda chunk: self.folder.store.read(chunk.shard.name, chunk.start, chunk.end),
        )

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The data's manifest; for records from other tools, values from the settings."""
        if self.config.records == "mmv":
            return read_manifest(self.folder.fetch_manifest())
        return {
            "frame_rate": self.config.stored_frame_rate or self.config.frame_rate,
            "sample_rate": self.config.stored_sample_rate or self._sample_rate,
            "labels": [],
        }

    @property
    def all_have_frames(self) -> bool:
        """True if every record has frames; False if some hold only audio."""
        return self.config.records != "mmv" or expected_of(self.manifest).all_have_frames

    @property
    def is_video(self) -> bool:
        """True if a record's frames and audio are stored as one MP4 file."""
        return self.config.records == "mmv" and expected_of(self.manifest).is_video

    def splits(self) -> list[str]:
        """Return the splits that `config.split` names, which may join several with "+"."""
        names: list[str] = self.config.split.split("+")
        have = self.manifest["splits"]
        for name in names:
            if name not in have:
                raise ValueError(
                    f"There is no split {name!r} in {self.folder.name}: it has {', '.join(have)}."
                )
        return names

    def shards(self) -> list[ShardEntry]:
        """Return the split's shards; for other tools' records, all that match `config.files`."""
        if self.config.records != "mmv":
            return self._all_shards
        names = self.splits()
        return [shard for name in names for shard in self._all_shards if shard.split == name]

    def filled_shards(self) -> list[ShardEntry]:
        """Return the split's shards that have good records."""
        return [shard for shard in self.shards() if self.count(shard)]

    def num_good(self) -> int:
        """Return the number of good records in the split; of all if they were not inspected."""
        if self.inspected:
            return self.damage().read
        return sum(shard.records or 0 for shard in self.shards())

    def count(self, shard: ShardEntry) -> int:
        """Return the number of good records in a shard; of all if they were not inspected."""
        if self._inspections is not None:
            return self._inspections[str(shard.path)].good
        return shard.records or 0

    def segments(self, shard: ShardEntry) -> tuple[tuple[int, int], ...]:
        """Return the runs of good records as (offset in bytes, number of records)."""
        if self._inspections is None:
            return ((0, self.count(shard)),)
        return self._inspections[str(shard.path)].segments

    def chunks(self, shard: ShardEntry) -> tuple[tuple[int, int], ...]:
        """Return runs of at most about 16 good records, in the form of `segments`.

        Without inspection and without offsets in the manifest, a shard's headers are read if the
        split has few shards; otherwise the whole shard is one run.
        """
        if self._inspections is not None:
            return self._inspections[str(shard.path)].chunks
        count, offsets = self.count(shard), shard.offsets
        if not offsets and len(self.shards()) < _FEW_SHARDS:
            with at_hand(shard.path) as path:
                offsets = framing.chunk_offsets(path, CHUNK_RECORDS) or ()
        if len(offsets) != -(-count // CHUNK_RECORDS) or offsets[0] != 0:
            return self.segments(shard)
        # Merge chunks if the split has too many.
        step = -(-sum(s.records or 0 for s in self.shards()) // (CHUNK_RECORDS * _MOST_CHUNKS))
        starts = range(0, count, step * CHUNK_RECORDS)
        return tuple(
            (offset, min(step * CHUNK_RECORDS, count - start))
            for offset, start in zip(offsets[::step], starts, strict=True)
        )

    @property
    def inspected(self) -> bool:
        """True if the shards are inspected; the first access may inspect them, which takes time."""
        return self._inspections is not None

    def damage(self) -> damage.DamageReport:
        """Return a report on the split's damage; see `Reader.damage`."""
        if self._inspections is None:
            self.folder.check_sizes(self.manifest)
            count = sum(shard.records or 0 for shard in self.shards())
            return damage.DamageReport(count, count)
        found = [self._inspections[str(shard.path)] for shard in self.shards()]
        report = damage.report_of(found)
        damage.enforce(
            report, self.config.on_bad_record, self.config.max_bad_fraction, self.folder.name
        )
        return report

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Explain errors from the datasets; see `Reader.explained`."""
        with contextlib.ExitStack() as stack:
            if self.folder.is_remote:
                stack.enter_context(self.source.explained())
            stack.enter_context(damage.explained(self._first_findings))
            yield

    def _first_findings(self) -> list[inspection.Finding]:
        shards = self.shards()
        if self.folder.is_remote:  # Do not download all shards just for a message.
            shards = [shard for shard in shards if shard.name in self.source.damaged]
        return inspection.first_findings(shards, self.keys, expected_of(self.manifest), self.limits)

    @functools.cached_property
    def _all_shards(self) -> list[ShardEntry]:
        if self.config.records != "mmv":
            return self.folder.found_shards(self.config.files)
        return self.folder.listed_shards(self.manifest)

    @functools.cached_property
    def _inspections(self) -> dict[str, inspection.ShardInspection] | None:
        """The inspections of all shards in the directory, or None if they were not inspected."""
        config, shards = self.config, self._all_shards
        skip = config.on_bad_record == "skip"
        if not skip and config.records == "mmv":
            total = sum(shard.bytes or 0 for shard in shards)
            if config.inspect == "never":
                return None
            # Chunks from a store are checked against their checksums as they are read.
            if config.inspect == "auto" and (total > _AUTO_INSPECT_BYTES or self.folder.is_remote):
                return None
        thorough = skip or config.inspect == "always"
        cache = self.directory / inspection.CACHE_FILE if thorough else None
        return inspection.inspect_cached(
            shards, self.keys, expected_of(self.manifest), self.limits, cache
        )
