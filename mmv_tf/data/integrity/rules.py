# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Requirements for records, and a record's features as a check sees them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mmv_tf.data.records.keys import KeyMap

if TYPE_CHECKING:
    import tensorflow as tf


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


WRONG_TYPE = "wrong type"


class Features:
    """A parsed record's features, by name and type."""

    def __init__(self, example: tf.train.SequenceExample):
        self._context = example.context.feature
        self._lists = example.feature_lists.feature_list

    def has(self, key: str) -> bool:
        """Whether there is a feature of that name, if an empty one."""
        return key in self._context or key in self._lists

    def context(self, key: str, kind: str) -> Any:
        """Values of a context feature; empty if it is not there."""
        return _values(self._context[key], key, kind) if key in self._context else ()

    def steps(self, key: str, kind: str) -> list[Any]:
        """Values of each entry of a feature list; empty if it is not there."""
        if key not in self._lists:
            return []
        return [_values(step, key, kind) for step in self._lists[key].feature]

    def floats(self, key: str) -> list[np.ndarray]:
        """As `steps`, of floats, as arrays."""
        if key not in self._lists:
            return []
        arrays = []
        for step in self._lists[key].feature:
            _values(step, key, "float_list")
            arrays.append(packed_floats(step.float_list.SerializeToString()))
        return arrays

    def either(self, key: str, kind: str, lists: bool) -> list[Any]:
        """All values of a feature that is a list or in the context."""
        if lists:
            return [value for step in self.steps(key, kind) for value in step]
        return list(self.context(key, kind))

    def number(self, key: str, kind: str) -> float | None:
        """The only value of a context feature; None if it is not there."""
        values = self.context(key, kind)
        if len(values) > 1:
            raise Wrong(WRONG_TYPE, f"{key} has {len(values)} values, expected one")
        return values[0] if len(values) else None


def _values(feature: Any, key: str, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found is None:
        return ()
    if found != kind:
        raise Wrong(WRONG_TYPE, f"{key} is a {found}, expected a {kind}")
    return getattr(feature, kind).value


def packed_floats(serialized: bytes) -> np.ndarray:
    """The floats of a serialised FloatList, which is always written packed: tag, size, values.

    Reading 150,000 of them one by one would take most of the time of a check.
    """
    if not serialized:
        return np.zeros(0, np.float32)
    start = 1
    while serialized[start] & 0x80:
        start += 1
    return np.frombuffer(serialized, "<f4", offset=start + 1)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What every check is given.

    Attributes:
      features: the record's.
      keys: what they are called.
      expected: of all records of the data set.
      limits: the largest that is read.
      seconds: how long the clip's media last; None if that is not known, or not yet.
    """

    features: Features
    keys: KeyMap
    expected: Expected
    limits: Limits
    seconds: float | None = None
