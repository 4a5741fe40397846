# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record whose bytes are whole.

Everything is judged before anything is decoded: a JPEG by its header and its end, sound by its
numbers, captions by their times.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from mmv_tf.data import record_keys
from mmv_tf.data.jpeg_header import JpegProblem, read_jpeg_header
from mmv_tf.data.key_maps import KeyMap

if TYPE_CHECKING:
    import tensorflow as tf

# Reasons, beside those of `jpeg_header` and `tfrecord_framing`.
NOT_EXAMPLE = "not a SequenceExample"
MISSING_KEY = "missing key"
WRONG_TYPE = "wrong type"
EMPTY_ID = "empty example id"
NO_FRAMES = "no frames"
TOO_MANY_FRAMES = "too many frames"
LARGE_FRAME = "frame too large"
MIXED_FRAMES = "frames of several sizes"
FRAME_RATE = "wrong frame rate"
CLIP_TIMES = "clip times"
AUDIO_NOT_FINITE = "audio not finite"
AUDIO_RANGE = "audio out of range"
AUDIO_LENGTH = "audio length"
DMVR_AUDIO = "corrupt DMVR audio"
SAMPLE_RATE = "wrong sample rate"
LOG_MEL_SHAPE = "log-mel shape"
CAPTION_COUNT = "caption counts differ"
CAPTION_LENGTH = "caption too long"
CAPTION_TIMES = "caption times"
TOO_MANY_CAPTIONS = "too many captions"
LABEL_RANGE = "label out of range"

_MICROSECONDS = 1e6
# A sound this loud is no sound in [-1, 1]: mixing and resampling overshoot a little. Ours.
_LOUDEST = 16.0
# How much of the sound that the frames last must be there, and how much more may be; ours.
_SHORTEST_SHARE, _LONGEST_SHARE = 0.5, 2.0
_RATE_TOLERANCE = 1e-3


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
    """A reason, one of the constants above, and what was seen."""

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


class _Wrong(Exception):
    """Carries a problem out of a check."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason)
        self.problem = Problem(reason, detail)


def check_record(payload: bytes, keys: KeyMap, expected: Expected, limits: Limits) -> Checked:
    """Looks for everything that is wrong with a record, without decoding it."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        example = tf.train.SequenceExample.FromString(payload)
    except DecodeError as error:
        return Checked("", (Problem(NOT_EXAMPLE, str(error) or "it can't be parsed"),))
    features = _Features(example)
    if not example.context.feature and not example.feature_lists.feature_list:
        return Checked("", (Problem(NOT_EXAMPLE, "it has no features"),))
    problems: list[Problem] = []
    notes: list[str] = []
    example_id = _example_id(features, keys)
    seconds = None
    try:
        _check_keys(features, keys, expected)
        seconds = _check_clip(features, keys, expected, limits)
    except _Wrong as wrong:
        problems.append(wrong.problem)
    for check in (_check_sound, _check_log_mel, _check_captions, _check_label):
        try:
            notes += check(features, keys, expected, limits, seconds)
        except _Wrong as wrong:
            problems.append(wrong.problem)
    return Checked(example_id, tuple(problems), tuple(notes))


class _Features:
    """A parsed record's features, by name and type."""

    def __init__(self, example: tf.train.SequenceExample):
        self._context = example.context.feature
        self._lists = example.feature_lists.feature_list

    def has(self, key: str) -> bool:
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


def _values(feature: Any, key: str, kind: str) -> Any:
    found = feature.WhichOneof("kind")
    if found is None:
        return ()
    if found != kind:
        raise _Wrong(WRONG_TYPE, f"{key} is a {found}, expected a {kind}")
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


def _example_id(features: _Features, keys: KeyMap) -> str:
    values: Any = ()
    with contextlib.suppress(_Wrong):
        values = features.context(keys.example_id, "bytes_list") if keys.example_id else ()
    return values[0].decode(errors="replace") if len(values) else ""


def _sound_alone(features: _Features, keys: KeyMap, expected: Expected) -> bool:
    """Whether a record has no frames and need not have any."""
    heard = features.has(keys.waveform) or features.has(keys.log_mel)
    return not expected.pictures and heard and not features.has(keys.frames)


def _check_keys(features: _Features, keys: KeyMap, expected: Expected) -> None:
    missing = [key for key in keys.required if not features.has(key)]
    if _sound_alone(features, keys, expected):
        missing = [key for key in missing if key != keys.frames]
    if missing:
        raise _Wrong(MISSING_KEY, f"it lacks {', '.join(missing)}")
    if keys.example_id in keys.required:
        identity = features.context(keys.example_id, "bytes_list")
        if len(identity) != 1 or not identity[0]:
            raise _Wrong(EMPTY_ID, f"{keys.example_id} is {list(identity)!r}")


def _check_clip(
    features: _Features, keys: KeyMap, expected: Expected, limits: Limits
) -> float | None:
    """Checks clip times, frames and rate; returns how many seconds the clip's media last."""
    start = _number(features, record_keys.CLIP_START, "int64_list")
    end = _number(features, record_keys.CLIP_END, "int64_list")
    if start is not None and end is not None and not 0 <= start < end:
        raise _Wrong(CLIP_TIMES, f"the clip is from {start} to {end} microseconds")
    if _sound_alone(features, keys, expected):
        return None if start is None or end is None else (end - start) / _MICROSECONDS
    count = _check_frames(features, keys, limits)
    rate = _number(features, record_keys.FRAME_RATE, "float_list")
    _check_rate(FRAME_RATE, rate, expected.frame_rate)
    rate = expected.frame_rate if rate is None else rate
    return None if rate is None else count / rate


def _check_frames(features: _Features, keys: KeyMap, limits: Limits) -> int:
    """Checks number, headers and sizes of the frames; returns how many there are."""
    frames = [
        step[0] if len(step) == 1 else b"" for step in features.steps(keys.frames, "bytes_list")
    ]
    if not frames:
        raise _Wrong(NO_FRAMES, f"{keys.frames} is empty")
    if len(frames) > limits.frames:
        raise _Wrong(TOO_MANY_FRAMES, f"{len(frames)} frames, at most {limits.frames} are read")
    size: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        header = read_jpeg_header(frame)
        if isinstance(header, JpegProblem):
            raise _Wrong(header.reason, f"frame {index}: {header.detail}")
        if header.height * header.width > limits.frame_pixels:
            raise _Wrong(
                LARGE_FRAME,
                f"frame {index} is {header.width} x {header.height}, at most "
                f"{limits.frame_pixels} pixels are decoded",
            )
        if size is not None and size != (header.height, header.width):
            raise _Wrong(
                MIXED_FRAMES,
                f"frame {index} is {header.width} x {header.height}, those before are "
                f"{size[1]} x {size[0]}",
            )
        size = (header.height, header.width)
    return len(frames)


def _check_rate(reason: str, found: float | None, expected: float | None) -> None:
    if found is not None and not (np.isfinite(found) and found > 0):
        raise _Wrong(reason, f"it is {found:g} Hz")
    if None not in (found, expected) and abs(found / expected - 1) > _RATE_TOLERANCE:  # type: ignore[operator]
        raise _Wrong(reason, f"it is {found:g} Hz, the manifest says {expected:g}")


def _number(features: _Features, key: str, kind: str) -> float | None:
    values = features.context(key, kind)
    if len(values) > 1:
        raise _Wrong(WRONG_TYPE, f"{key} has {len(values)} values, expected one")
    return values[0] if len(values) else None


def _check_sound(
    features: _Features,
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    seconds: float | None,
) -> list[str]:
    arrays = features.floats(keys.waveform)
    count = sum(map(len, arrays))
    if count == 0:
        return [] if features.has(keys.log_mel) else ["no audio"]
    if count > limits.samples:
        raise _Wrong(AUDIO_LENGTH, f"{count} samples, at most {limits.samples} are read")
    waveform = np.concatenate(arrays)
    if looks_like_integers(waveform):
        raise _Wrong(
            DMVR_AUDIO,
            "32-bit integers read as floats, as the public DMVR tool writes; prepare the data "
            "again, or let verify_data --repair reinterpret them",
        )
    finite = np.isfinite(waveform)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise _Wrong(AUDIO_NOT_FINITE, f"{len(bad)} samples, the first is sample {bad[0]}")
    loudest = float(np.abs(waveform).max())
    if loudest > _LOUDEST:
        raise _Wrong(AUDIO_RANGE, f"the loudest sample is {loudest:g}, expected about [-1, 1]")
    rate = _number(features, record_keys.SAMPLE_RATE, "float_list")
    _check_rate(SAMPLE_RATE, rate, expected.sample_rate)
    rate = expected.sample_rate if rate is None else rate
    if rate is not None and seconds is not None:
        share = count / (rate * seconds)
        if not _SHORTEST_SHARE <= share <= _LONGEST_SHARE:
            raise _Wrong(
                AUDIO_LENGTH, f"{count} samples at {rate:g} Hz go with {seconds:g} s of frames"
            )
    return ["silent"] if loudest == 0 else []


def looks_like_integers(waveform: np.ndarray) -> bool:
    """Whether 32-bit integer samples were stored as if they were floats (TRAPS 11).

    Seen as floats, quiet positive integers are denormal or tiny numbers, negative ones NaN or up to
    1e38 in size: numbers that no sound in [-1, 1] has, side by side and in many bit patterns. Seen
    as integers, they are a waveform: neighbours are alike.

    Args:
      waveform: float32 [samples].
    """
    samples = waveform[waveform.view(np.int32) != 0]
    if not len(samples):
        return False
    with np.errstate(invalid="ignore"):
        size = np.abs(samples)
        tiny, huge = size < 1e-20, ~(size < 1e10)
    if tiny.mean() < 0.1 or huge.mean() < 0.1:
        return False
    if len(np.unique(samples[tiny | huge].view(np.int32)[:10_000])) <= 8:
        return False
    integers = waveform.view(np.int32).astype(np.float64)
    integers -= integers.mean()
    return bool(np.abs(np.diff(integers)).mean() < np.abs(integers).mean())


def _check_log_mel(
    features: _Features,
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    seconds: float | None,
) -> list[str]:
    del seconds
    steps = features.floats(keys.log_mel)
    if not steps:
        return []
    bins = {len(step) for step in steps}
    wanted = expected.log_mel_bins
    if len(bins) != 1 or (wanted is not None and bins != {wanted}):
        raise _Wrong(LOG_MEL_SHAPE, f"its frames have {sorted(bins)} bins, expected {wanted}")
    values = np.concatenate(steps)
    if len(values) > limits.samples:
        raise _Wrong(AUDIO_LENGTH, f"{len(values)} values, at most {limits.samples} are read")
    if not np.isfinite(values).all():
        raise _Wrong(AUDIO_NOT_FINITE, "the stored log-mel")
    return []


def _check_captions(
    features: _Features,
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    seconds: float | None,
) -> list[str]:
    del seconds
    lists = keys.caption_lists
    captions = features.either(keys.caption, "bytes_list", lists)
    starts = np.array(features.either(keys.caption_start, "int64_list", lists), np.int64)
    ends = np.array(features.either(keys.caption_end, "int64_list", lists), np.int64)
    if not captions and not len(starts):
        return ["no captions"]
    if len(captions) > limits.captions:
        raise _Wrong(
            TOO_MANY_CAPTIONS, f"{len(captions)} captions, at most {limits.captions} are read"
        )
    longest = max(map(len, captions), default=0)
    if longest > limits.caption_bytes:
        raise _Wrong(CAPTION_LENGTH, f"{longest} bytes, at most {limits.caption_bytes} are read")
    timed = len(starts) or len(ends)
    if timed and not len(captions) == len(starts) == len(ends):
        raise _Wrong(
            CAPTION_COUNT, f"{len(captions)} captions, {len(starts)} starts, {len(ends)} ends"
        )
    if not timed:
        return []
    if keys.caption_duration:
        ends = starts + ends
    for wrong, what in (
        (starts < 0, "starts before the source"),
        (ends < starts, "ends before it starts"),
        (np.diff(starts, prepend=starts[:1]) < 0, "starts before the one before it"),
    ):
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            raise _Wrong(
                CAPTION_TIMES, f"caption {index}, {starts[index]}-{ends[index]} us, {what}"
            )
    window = expected.caption_window_seconds
    clip_start = _number(features, record_keys.CLIP_START, "int64_list")
    clip_end = _number(features, record_keys.CLIP_END, "int64_list")
    if window is not None and clip_start is not None and clip_end is not None:
        # A millisecond for rounding.
        reach = (window + 1e-3) * _MICROSECONDS
        far = (ends < clip_start - reach) | (starts > clip_end + reach)
        if far.any():
            index = int(np.flatnonzero(far)[0])
            raise _Wrong(
                CAPTION_TIMES,
                f"caption {index}, {starts[index]}-{ends[index]} us, is farther than {window:g} s "
                f"from the clip, {clip_start}-{clip_end} us",
            )
    return []


def _check_label(
    features: _Features,
    keys: KeyMap,
    expected: Expected,
    limits: Limits,
    seconds: float | None,
) -> list[str]:
    del keys, limits, seconds
    labels = features.context(record_keys.LABEL_INDEX, "int64_list")
    for label in labels:
        if label < 0 or (expected.labels is not None and label >= expected.labels):
            raise _Wrong(LABEL_RANGE, f"{label} of {expected.labels} classes")
    return []
