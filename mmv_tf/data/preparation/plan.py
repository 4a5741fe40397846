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
from mmv_tf.data.records import writer


@dataclasses.dataclass(frozen=True)
class Looked:
    """A source that was looked at."""

    source: Source
    row: int
    info: media.MediaInfo


@dataclasses.dataclass(frozen=True)
class PlannedClip:
    """A clip, the captions stored with it and those of them that are about it alone."""

    span: writer.ClipSpan
    near: tuple[captions_lib.Caption, ...]
    own: tuple[captions_lib.Caption, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """Clips of one source that lie close together: what is decoded into one file.

    Attributes:
      index: among all units.
      source, info: where they come from.
      row: the source's row in the report.
      clips: by start.
    """

    index: int
    source: Source
    info: media.MediaInfo
    row: int
    clips: tuple[PlannedClip, ...]

    @property
    def seconds(self) -> float:
        """How much of the film is decoded; a picture counts as a second."""
        clips = [clip.span for clip in self.clips]
        span = max(c.end_ms for c in clips) - min(c.start_ms for c in clips)
        return span / 1000 or float(len(clips))

    def path(self, work: pathlib.Path) -> pathlib.Path:
        """The file for what is decoded of it."""
        return work / "blocks" / f"{self.index // 1000:05d}" / f"{self.index:08d}.block"


@dataclasses.dataclass
class Plan:
    """All that there is to decode.

    Attributes:
      reports: a row for each source.
      units: in order of the sources and of time.
      blocks: the pieces of the films that were dealt out to splits, for the manifest.
      captions: how many captions each split holds.
      labels: class ids by name.
      dropped: what was left out, by reason.
    """

    reports: list[SourceReport]
    units: list[Unit]
    blocks: list[dict[str, Any]]
    captions: collections.Counter[str]
    labels: dict[str, int]
    dropped: collections.Counter[str]
