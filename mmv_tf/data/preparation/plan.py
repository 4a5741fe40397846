# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The preparation plan: clips grouped into decoding units."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
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
    """A clip, the captions stored with it (`near`), and those that describe it alone (`own`)."""

    span: shard_writer.ClipSpan
    near: tuple[captions_lib.Caption, ...]
    own: tuple[captions_lib.Caption, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """Clips of one source that are close in time and decoded into one file.

    Attributes:
      index: among all units.
      source, info: their source.
      row: the row of the source in the report.
      clips: sorted by start.
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

    def path(self, work: pathlib.Path) -> pathlib.Path:
        """Return the path of its block file."""
        return work / "blocks" / f"{self.index // 1000:05d}" / f"{self.index:08d}.block"


@dataclasses.dataclass
class Plan:
    """All units to decode.

    Attributes:
      reports: a row for each source.
      units: in the order of sources and of time.
      blocks: blocks of films with their splits, for the manifest.
      captions: number of captions by split.
      labels: class ids by name.
      dropped: counts of clips and captions left out, by reason.
    """

    reports: list[SourceReport]
    units: list[Unit]
    blocks: list[dict[str, Any]]
    captions: collections.Counter[str]
    labels: dict[str, int]
    dropped: collections.Counter[str]
