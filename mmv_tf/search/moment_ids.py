# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moment ids: opaque to clients, and stable across index updates."""

from __future__ import annotations

import dataclasses
import re

from mmv_tf.search.files import video_id

# Milliseconds of at most 11 digits: three years.
_ID = re.compile(r"([0-9a-f]{20})-(\d{1,11})-(\d{1,11})")


@dataclasses.dataclass(frozen=True)
class MomentId:
    """A part of a video.

    Attributes:
      video: the video's id.
      start, end: times in seconds, to the millisecond.
    """

    video: str
    start: float
    end: float

    @classmethod
    def of(cls, name: str, start: float, end: float) -> MomentId:
        """Return a moment's id, given its video's name."""
        return cls(video_id(name), start, end)

    @classmethod
    def parse(cls, text: str) -> MomentId:
        """Read an id.

        Raises:
          ValueError: the text is not an id.
        """
        match = _ID.fullmatch(text)
        if match is None or int(match[3]) <= int(match[2]):
            raise ValueError(f"{text[:80]!r} is not the id of a moment; use one from an answer.")
        return cls(match[1], int(match[2]) / 1000, int(match[3]) / 1000)

    def __str__(self) -> str:
        start = max(0, round(self.start * 1000))
        return f"{self.video}-{start}-{max(round(self.end * 1000), start + 1)}"
