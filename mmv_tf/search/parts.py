# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A segment's optional parts: files beside its matrices, written and merged with it.

A part identifies windows by their rows in the segment, never by the video's name: a renamed video
keeps its rows. Segments from earlier versions lack parts, so readers and `merge` must expect
`Segment.file` to return None.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Protocol

from mmv_tf.search.frames import FramesPart
from mmv_tf.search.store import Segment
from mmv_tf.search.video_rows import EmbeddedVideo


@dataclasses.dataclass(frozen=True)
class Placed:
    """A new video, and the position of its windows in the new segment.

    Attributes:
      video: the video, completely embedded; its `blocks` are already dropped.
      first, count: its first row and number of rows.
    """

    video: EmbeddedVideo
    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class Moved:
    """The windows of a video that a merge copies from one segment to a new one.

    Attributes:
      segment: the source, perhaps in another index.
      first, count: first row in the source, and number of rows.
      to: first row in the new segment.
    """

    segment: Segment
    first: int
    count: int
    to: int


class Part(Protocol):
    """A segment's optional part. Both functions may write nothing if there is nothing to keep.

    They write plain files into the folder, which is not yet part of the index; checksums are
    computed afterwards.
    """

    def write(self, folder: pathlib.Path, videos: Sequence[Placed]) -> None:
        """Write the part for new videos."""

    def merge(self, folder: pathlib.Path, moved: Sequence[Moved]) -> None:
        """Write the part for a segment made of rows from others, in the order of `to`."""


# All existing parts.
PARTS: tuple[Part, ...] = (FramesPart(),)


def write_parts(videos: Sequence[Placed], folder: pathlib.Path) -> None:
    """Write all parts for new videos."""
    for part in PARTS:
        part.write(folder, videos)


def merge_parts(moved: Sequence[Moved], folder: pathlib.Path) -> None:
    """Write all parts for a merged segment."""
    for part in PARTS:
        part.merge(folder, moved)
