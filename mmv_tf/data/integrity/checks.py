# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks a single record: keys, times, frames, audio and captions."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from mmv_tf.data.integrity.jpeg import JpegProblem, read_jpeg_header
from mmv_tf.data.integrity.rules import (
    AUDIO_LENGTH,
    LARGE_FRAME,
    NO_FRAMES,
    SAMPLE_RATE,
    TOO_MANY_FRAMES,
    CheckFailed,
    CheckInput,
    CheckResult,
    Expected,
    Features,
    Limits,
    Problem,
    check_rate,
)
from mmv_tf.data.integrity.video import check_stored_audio, check_video, stored_clip
from mmv_tf.data.records import keys as keys_lib
from mmv_tf.data.records.keys import KeyMap

CAPTION_COUNT = "caption counts differ"

CAPTION_LENGTH = "caption too long"

CAPTION_TIMES = "caption times"

TOO_MANY_CAPTIONS = "too many captions"


def check_captions(subject: CheckInput) -> list[str]:
    """Check the number, lengths and times of captions; note "no captions"."""
    features, keys, limits = subject.features, subject.keys, subject.limits
    lists = keys.caption_lists
    captions = features.either(keys.caption, "bytes_list", lists)
    starts = np.array(features.either(keys.caption_start, "int64_list", lists), np.int64)
    ends = np.array(features.either(keys.caption_end, "int64_list", lists), np.int64)
    if not captions and not len(starts):
        return ["no captions"]
    if len(captions) > limits.captions:
        raise CheckFailed(
            TOO_MANY_CAPTIONS, f"{len(captions)} captions, more than the limit of {limits.captions}"
        )
    longest = max(map(len, captions), default=0)
    if longest > limits.caption_bytes:
        raise CheckFailed(
            CAPTION_LENGTH, f"{longest} bytes, more than the limit of {limits.caption_bytes}"
        )
    timed = len(starts) or len(ends)
    if timed and not len(captions) == len(starts) == len(ends):
        raise CheckFailed(
            CAPTION_COUNT, f"{len(captions)} captions, {len(starts)} starts, {len(ends)} ends"
        )
    if not timed:
        return []
    if keys.caption_duration:
        ends = starts + ends
    for wrong, what in (
        (starts < 0, "starts before the source"),
        (ends < starts, "ends before it starts"),
        (np.diff(starts, prepend=starts[:1]) < 0, "starts before the previous one"),
    ):
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            raise CheckFailed(
                CAPTION_TIMES, f"caption {index}, {starts[index]}-{ends[index]} us, {what}"
            )
    window = subject.expected.caption_window_seconds
    clip_start = features.number(keys_lib.CLIP_START, "int64_list")
    clip_end = features.number(keys_lib.CLIP_END, "int64_list")
    if window is not None and clip_start is not None and clip_end is not None:
        # Allow a millisecond for rounding.
        reach = (window + 1e-3) * keys_lib.MICROSECONDS
        far = (ends < clip_start - reach) | (starts > clip_end + reach)
        if far.any():
            index = int(np.flatnonzero(far)[0])
            raise CheckFailed(
                CAPTION_TIMES,
                f"caption {index}, {starts[index]}-{ends[index]} us, is more than {window:g} s "
                f"from the clip, {clip_start}-{clip_end} us",
            )
    return []


MISSING_KEY = "missing key"

EMPTY_ID = "empty example id"

MIXED_FRAMES = "frames of several sizes"

FRAME_RATE = "wrong frame rate"

CLIP_TIMES = "clip times"


def _is_audio_only(subject: CheckInput) -> bool:
    """Return whether a record has audio but no frames in a data set where frames are optional."""
    features, keys = subject.features, subject.keys
    forms = (keys.waveform, keys.log_mel, keys_lib.ENCODED_MEDIA)
    has_audio = any(features.has(key) for key in forms)
    has_frames = features.has(_frames_key(subject))
    return not subject.expected.all_have_frames and has_audio and not has_frames


def _frames_key(subject: CheckInput) -> str:
    """Return the name of the feature list that has one entry per frame."""
    return keys_lib.FRAME_TIMES if subject.expected.is_video else subject.keys.frames


def _is_image(subject: CheckInput) -> bool:
    """Return whether a record is a single image, which may have no duration."""
    is_video = subject.expected.is_video
    kind = "int64_list" if is_video else "bytes_list"
    return len(subject.features.steps(_frames_key(subject), kind)) == 1


def check_keys(subject: CheckInput) -> None:
    """Check that a record has all required features and an id."""
    features, keys = subject.features, subject.keys
    frames = _frames_key(subject)
    required = [frames if key == keys.frames else key for key in keys.required]
    missing = [key for key in required if not features.has(key)]
    if _is_audio_only(subject):
        missing = [key for key in missing if key != frames]
    if missing:
        raise CheckFailed(MISSING_KEY, f"{', '.join(missing)} missing")
    if keys.example_id in keys.required:
        identity = features.context(keys.example_id, "bytes_list")
        if len(identity) != 1 or not identity[0]:
            raise CheckFailed(EMPTY_ID, f"{keys.example_id} is {list(identity)!r}")


def check_clip(subject: CheckInput) -> float | None:
    """Check clip times, frames and frame rate; return the duration of the clip's media."""
    features, expected = subject.features, subject.expected
    start = features.number(keys_lib.CLIP_START, "int64_list")
    end = features.number(keys_lib.CLIP_END, "int64_list")
    if start is not None and end is not None:
        shortest = 0 if _is_image(subject) else 1
        if not (start >= 0 and end - start >= shortest):
            raise CheckFailed(CLIP_TIMES, f"the clip is from {start} to {end} microseconds")
    if _is_audio_only(subject):
        return None if start is None or end is None else (end - start) / keys_lib.MICROSECONDS
    count = check_video(subject) if expected.is_video else _check_frames(subject)
    rate = features.number(keys_lib.FRAME_RATE, "float_list")
    check_rate(FRAME_RATE, rate, expected.frame_rate)
    rate = expected.frame_rate if rate is None else rate
    return None if rate is None else count / rate


def _check_frames(subject: CheckInput) -> int:
    """Check the number, headers and sizes of the frames; return their number."""
    features, keys, limits = subject.features, subject.keys, subject.limits
    frames = [
        step[0] if len(step) == 1 else b"" for step in features.steps(keys.frames, "bytes_list")
    ]
    if not frames:
        raise CheckFailed(NO_FRAMES, f"{keys.frames} is empty")
    if len(frames) > limits.frames:
        raise CheckFailed(
            TOO_MANY_FRAMES, f"{len(frames)} frames, more than the limit of {limits.frames}"
        )
    size: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        header = read_jpeg_header(frame)
        if isinstance(header, JpegProblem):
            raise CheckFailed(header.reason, f"frame {index}: {header.detail}")
        if header.height * header.width > limits.frame_pixels:
            raise CheckFailed(
                LARGE_FRAME,
                f"frame {index} is {header.width} x {header.height}, more than the limit of "
                f"{limits.frame_pixels} pixels",
            )
        if size is not None and size != (header.height, header.width):
            raise CheckFailed(
                MIXED_FRAMES,
                f"frame {index} is {header.width} x {header.height}, but earlier ones are "
                f"{size[1]} x {size[0]}",
            )
        size = (header.height, header.width)
    return len(frames)


AUDIO_NOT_FINITE = "audio not finite"

AUDIO_RANGE = "audio out of range"

DMVR_AUDIO = "corrupt DMVR audio"

LOG_MEL_SHAPE = "log-mel shape"


# Ours. Mixing and resampling exceed [-1, 1] only slightly, never by this much.
_LOUDEST = 16.0

# Ours. Bounds on the duration of the audio divided by that of the frames.
_SHORTEST_SHARE, _LONGEST_SHARE = 0.5, 2.0


def check_audio(subject: CheckInput) -> list[str]:
    """Check the number, rate and values of audio samples; note "no audio" and "silent"."""
    if subject.expected.is_video:
        return check_stored_audio(subject)
    features, keys, seconds = subject.features, subject.keys, subject.seconds
    arrays = features.floats(keys.waveform)
    count = sum(map(len, arrays))
    if count == 0:
        return [] if features.has(keys.log_mel) else ["no audio"]
    if count > subject.limits.samples:
        raise CheckFailed(
            AUDIO_LENGTH, f"{count} samples, more than the limit of {subject.limits.samples}"
        )
    waveform = np.concatenate(arrays)
    if looks_like_integers(waveform):
        raise CheckFailed(
            DMVR_AUDIO,
            "32-bit integers stored as floats, as the public DMVR tool does; prepare the data "
            "again, or let verify_data --repair reinterpret them",
        )
    finite = np.isfinite(waveform)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise CheckFailed(
            AUDIO_NOT_FINITE, f"{len(bad)} samples, the first of which is sample {bad[0]}"
        )
    loudest = float(np.abs(waveform).max())
    if loudest > _LOUDEST:
        raise CheckFailed(AUDIO_RANGE, f"the loudest sample is {loudest:g}, far outside [-1, 1]")
    rate = features.number(keys_lib.SAMPLE_RATE, "float_list")
    check_rate(SAMPLE_RATE, rate, subject.expected.sample_rate)
    rate = subject.expected.sample_rate if rate is None else rate
    if rate is not None and seconds is not None:
        share = count / (rate * seconds)
        if not _SHORTEST_SHARE <= share <= _LONGEST_SHARE:
            raise CheckFailed(
                AUDIO_LENGTH, f"{count} samples at {rate:g} Hz for {seconds:g} s of frames"
            )
    return ["silent"] if loudest == 0 else []


def looks_like_integers(waveform: np.ndarray) -> bool:
    """Return whether 32-bit integer samples were stored as if they were floats.

    The public DMVR tool does so: it decodes to s32le but reads float32. Read as floats, quiet
    positive integers are denormal or tiny, and negative ones are NaN or as large as 1e38, in many
    bit patterns; audio in [-1, 1] never mixes such values. Read as integers, the samples form a
    waveform, in which neighbors are similar.

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


def check_log_mel(subject: CheckInput) -> list[str]:
    """Check the shape and values of a stored spectrogram."""
    limits = subject.limits
    steps = subject.features.floats(subject.keys.log_mel)
    if not steps:
        return []
    bins = {len(step) for step in steps}
    wanted = subject.expected.log_mel_bins
    if len(bins) != 1 or (wanted is not None and bins != {wanted}):
        raise CheckFailed(LOG_MEL_SHAPE, f"its frames have {sorted(bins)} bins instead of {wanted}")
    values = np.concatenate(steps)
    if len(values) > limits.samples:
        raise CheckFailed(
            AUDIO_LENGTH, f"{len(values)} values, more than the limit of {limits.samples}"
        )
    if not np.isfinite(values).all():
        raise CheckFailed(AUDIO_NOT_FINITE, "the stored log-mel")
    return []


NOT_EXAMPLE = "not a SequenceExample"

LABEL_RANGE = "label out of range"


def check_record(payload: bytes, keys: KeyMap, expected: Expected, limits: Limits) -> CheckResult:
    """Find all problems in a record without decoding its frames."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        example = tf.train.SequenceExample.FromString(payload)
    except DecodeError as error:
        return CheckResult("", (Problem(NOT_EXAMPLE, str(error) or "it can't be parsed"),))
    features = Features(example)
    if not example.context.feature and not example.feature_lists.feature_list:
        return CheckResult("", (Problem(NOT_EXAMPLE, "it has no features"),))
    problems: list[Problem] = []
    notes: list[str] = []
    example_id = _example_id(features, keys)
    subject = CheckInput(features, keys, expected, limits)
    try:
        check_keys(subject)
        if expected.is_video:
            subject = dataclasses.replace(subject, clip=stored_clip(subject))
        subject = dataclasses.replace(subject, seconds=check_clip(subject))
    except CheckFailed as wrong:
        problems.append(wrong.problem)
    for check in (check_audio, check_log_mel, check_captions, _check_label):
        try:
            notes += check(subject)
        except CheckFailed as wrong:
            problems.append(wrong.problem)
    return CheckResult(example_id, tuple(problems), tuple(notes))


def _example_id(features: Features, keys: KeyMap) -> str:
    values: Any = ()
    with contextlib.suppress(CheckFailed):
        values = features.context(keys.example_id, "bytes_list") if keys.example_id else ()
    return values[0].decode(errors="replace") if len(values) else ""


def _check_label(subject: CheckInput) -> list[str]:
    expected = subject.expected
    labels = subject.features.context(keys_lib.LABEL_INDEX, "int64_list")
    for label in labels:
        if label < 0 or (expected.labels is not None and label >= expected.labels):
            raise CheckFailed(LABEL_RANGE, f"{label} of {expected.labels} classes")
    return []
