# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Requirements for records, and access to their features."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mmv_tf.data.records.keys import KeyMap

if TYPE_CHECKING:
    import tensorflow as tf

    from mmv_tf.data.stored_clips.clip_decoder import StoredClip


# Problems with frames and audio that JPEGs and video have in common.
NO_FRAMES = "no frames"
TOO_MANY_FRAMES = "too many frames"
LARGE_FRAME = "frame too large"
AUDIO_LENGTH = "audio length"
SAMPLE_RATE = "wrong sample rate"

_TOLERANCE = 1e-3  # Ours: relative tolerance for rates.


@dataclasses.dataclass(frozen=True)
class Limits:
    """Upper limits for records; all are our choice, and far above the needs of real clips.

    Attributes:
      record_bytes: size of a whole record.
      frames: number of frames in a clip.
      frame_pixels: height times width of a frame.
      samples: number of samples in a waveform, or of values in a log-mel spectrogram.
      captions: number of captions for a clip.
      caption_bytes: size of one caption.
    """

    record_bytes: int = 1 << 29
    frames: int = 20_000
    frame_pixels: int = 1 << 24
    samples: int = 1 << 26
    captions: int = 10_000
    caption_bytes: int = 1 << 16


@dataclasses.dataclass(frozen=True)
class Expected:
    """Properties that the manifest states for all records; None if unknown.

    Attributes:
      frame_rate, sample_rate: rates in Hz.
      labels: number of classes.
      caption_window_seconds: largest distance of a caption from its clip.
      log_mel_bins: number of bins in a stored log-mel spectrogram.
      all_have_frames: False if some records hold only audio.
      is_video: True if frames and audio are stored as one MP4 file.
    """

    frame_rate: float | None = None
    sample_rate: float | None = None
    labels: int | None = None
    caption_window_seconds: float | None = None
    log_mel_bins: int | None = None
    all_have_frames: bool = True
    is_video: bool = False


@dataclasses.dataclass(frozen=True)
class Problem:
    """A problem in a record: its kind, a constant of the module that checks it, and details."""

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The result of checking a record.

    Attributes:
      example_id: the record's id; "" if it has none.
      problems: problems found; empty if the record is good.
      notes: unusual properties that are not damage, such as "silent".
    """

    example_id: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


class CheckFailed(Exception):
    """Raised by a check to report a problem."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason)
        self.problem = Problem(reason, detail)


def check_rate(reason: str, found: float | None, expected: float | None) -> None:
    """Raise `CheckFailed` if a rate in Hz is invalid or differs from the manifest's."""
    if found is not None and not (np.isfinite(found) and found > 0):
        raise CheckFailed(reason, f"it is {found:g} Hz")
    if None not in (found, expected) and abs(found / expected - 1) > _TOLERANCE:  # type: ignore[operator]
        raise CheckFailed(reason, f"it is {found:g} Hz, but the manifest states {expected:g}")


WRONG_TYPE = "wrong type"


class Features:
    """A parsed record's features, by name and type."""

    def __init__(self, example: tf.train.SequenceExample):
        self._context = example.context.feature
        self._lists = example.feature_lists.feature_list

    def has(self, key: str) -> bool:
        """Return whether a feature of that name exists, even if it is empty."""
        return key in self._context or key in self._lists

    def context(self, key: str, kind: str) -> Any:
        """Return the values of a context feature; empty if it is missing."""
        return _values(self._context[key], key, kind) if key in self._context else ()

    def steps(self, key: str, kind: str) -> list[Any]:
        """Return the values of each entry of a feature list; empty if it is missing."""
        if key not in self._lists:
            return []
        return [_values(step, key, kind) for step in self._lists[key].feature]

    def floats(self, key: str) -> list[np.ndarray]:
        """Return the entries of a feature list of floats as arrays."""
        if key not in self._lists:
            return []
        arrays = []
        for step in self._lists[key].feature:
            _values(step, key, "float_list")
            arrays.append(packed_floats(step.float_list.SerializeToString()))
        return arrays

    def either(self, key: str, kind: str, lists: bool) -> list[Any]:
        """Return all values of a feature list if `lists`, otherwise of a context feature."""
        if lists:
            return [value for step in self.steps(key, kind) for value in step]
        return list(self.context(key, kind))

    def number(self, key: str, kind: str) -> float | None:
        """Return the single value of a context feature; None if it is missing."""
        values = self.context(key, kind)
        if len(values) > 1:
            raise CheckFailed(WRONG_TYPE, f"{key} has {len(values)} values instead of one")
        return values[0] if len(values) else None


def _values(feature: Any, key: str, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found is None:
        return ()
    if found != kind:
        raise CheckFailed(WRONG_TYPE, f"{key} is a {found} instead of a {kind}")
    return getattr(feature, kind).value


def packed_floats(serialized: bytes) -> np.ndarray:
    """Return the floats of a serialized FloatList, which is always packed: tag, size, values.

    Reading 150,000 values one at a time would take up most of a check's time.
    """
    if not serialized:
        return np.zeros(0, np.float32)
    start = 1
    while serialized[start] & 0x80:
        start += 1
    return np.frombuffer(serialized, "<f4", offset=start + 1)


@dataclasses.dataclass(frozen=True)
class CheckInput:
    """Input of every check.

    Attributes:
      features: the record's features.
      keys: feature names.
      expected: properties of all records in the data set.
      limits: upper limits.
      seconds: duration of the clip's media; None if unknown.
      clip: the clip of a record stored as video; None if it is missing or damaged.
    """

    features: Features
    keys: KeyMap
    expected: Expected
    limits: Limits
    seconds: float | None = None
    clip: StoredClip | None = None
