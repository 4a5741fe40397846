# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is demanded of records, and what a check of one says."""

from __future__ import annotations

import dataclasses

import numpy as np

_TOLERANCE = 1e-3  # Of rates; ours.


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest that is read of a record; all ours, far above what real clips need.

    Attributes:
      record_bytes: of a whole record.
      frames: stored with a clip.
      frame_pixels: height times width of a frame.
      samples: of a waveform, and values of a log-mel.
      captions: stored with a clip.
      caption_bytes: of one caption.
    """

    record_bytes: int = 1 << 29
    frames: int = 20_000
    frame_pixels: int = 1 << 24
    samples: int = 1 << 26
    captions: int = 10_000
    caption_bytes: int = 1 << 16


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the manifest says of all records; None where nothing is known.

    Attributes:
      frame_rate, sample_rate: in Hz.
      labels: number of classes.
      caption_window_seconds: how far from its clip a caption may be.
      log_mel_bins: of a stored log-mel.
      pictures: whether every record has frames; otherwise some are of sound alone.
    """

    frame_rate: float | None = None
    sample_rate: float | None = None
    labels: int | None = None
    caption_window_seconds: float | None = None
    log_mel_bins: int | None = None
    pictures: bool = True


@dataclasses.dataclass(frozen=True)
class Problem:
    """A reason, which is a constant of the module that looks for it, and what was seen."""

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a check of a record gave.

    Attributes:
      example_id: "" where the record does not say.
      problems: none if the record is good.
      notes: what is unusual and no damage, such as "silent".
    """

    example_id: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


class Wrong(Exception):
    """Carries a problem out of a check."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason)
        self.problem = Problem(reason, detail)


def check_rate(reason: str, found: float | None, expected: float | None) -> None:
    """Raises `Wrong` for a rate in Hz that is none, or not the manifest's."""
    if found is not None and not (np.isfinite(found) and found > 0):
        raise Wrong(reason, f"it is {found:g} Hz")
    if None not in (found, expected) and abs(found / expected - 1) > _TOLERANCE:  # type: ignore[operator]
        raise Wrong(reason, f"it is {found:g} Hz, the manifest says {expected:g}")
