# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The preparation plan: clips grouped into decoding units."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from typing import Any

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import media
from mmv_tf.data.preparation.report import SourceReport
from mmv_tf.data.preparation.sources import Source
from mmv_tf.data.records import shard_writer


@dataclasses.dataclass(frozen=True)
class ProbedSource:
    """A source with its row in the report and the result of probing it."""

    source: Source
    row: int
    info: media.MediaInfo


@dataclasses.dataclass(frozen=True)
class PlannedClip:
    """A clip, the captions stored with it (`near`), and those that describe only it (`own`)."""

    span: shard_writer.ClipSpan
    near: tuple[captions_lib.Caption, ...]
    own: tuple[captions_lib.Caption, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """Clips of one source that are close in time and are decoded into one file.

    Attributes:
      index: index among all units.
      source, info: the clips' source, and what probing found about it.
      row: the source's row in the report.
      clips: clips sorted by start.
    """

    index: int
    source: Source
    info: media.MediaInfo
    row: int
    clips: tuple[PlannedClip, ...]

    @property
    def seconds(self) -> float:
        """Seconds to decode; an image counts as one second."""
        clips = [clip.span for clip in self.clips]
        span = max(c.end_ms for c in clips) - min(c.start_ms for c in clips)
        return span / 1000 or float(len(clips))

    @property
    def block_name(self) -> str:
        """The block file's name, which depends only on the row and the clips.

        So it is the same in a task's plan, which has only some of the sources.
        """
        ids = json.dumps([clip.span.example_id for clip in self.clips])
        digest = hashlib.sha256(ids.encode()).hexdigest()[:16]
        return f"blocks/{self.row // 1000:05d}/{self.row:08d}-{digest}.block"


@dataclasses.dataclass(frozen=True)
class StoredBlock:
    """A block file: its name in the work folder, and its index (see `blocks.write_block`)."""

    name: str
    index: dict[str, Any]


@dataclasses.dataclass
class Plan:
    """All units to decode.

    Attributes:
      reports: one row per source.
      units: units in the order of sources and of time.
      blocks: blocks of films with their splits, for the manifest.
      captions: number of captions by split.
      labels: class ids by name.
      dropped: counts of clips and captions left out, by reason.
      stored: blocks of decoded units by the unit's index.
    """

    reports: list[SourceReport]
    units: list[Unit]
    blocks: list[dict[str, Any]]
    captions: collections.Counter[str]
    labels: dict[str, int]
    dropped: collections.Counter[str]
    stored: dict[int, StoredBlock] = dataclasses.field(default_factory=dict)
