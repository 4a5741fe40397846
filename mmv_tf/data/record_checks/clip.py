# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record's keys, its times and its frames.

Frames are judged by their headers and their ends; nothing is decoded.
"""

from __future__ import annotations

from mmv_tf.data import record_keys
from mmv_tf.data.jpeg_header import JpegProblem, read_jpeg_header
from mmv_tf.data.record_checks.rules import Wrong, check_rate
from mmv_tf.data.record_checks.subject import Subject

MISSING_KEY = "missing key"
EMPTY_ID = "empty example id"
NO_FRAMES = "no frames"
TOO_MANY_FRAMES = "too many frames"
LARGE_FRAME = "frame too large"
MIXED_FRAMES = "frames of several sizes"
FRAME_RATE = "wrong frame rate"
CLIP_TIMES = "clip times"


def _sound_alone(subject: Subject) -> bool:
    """Whether a record has no frames and need not have any."""
    features, keys = subject.features, subject.keys
    heard = features.has(keys.waveform) or features.has(keys.log_mel)
    return not subject.expected.pictures and heard and not features.has(keys.frames)


def _still(subject: Subject) -> bool:
    """Whether a record is a single picture, which may have no length."""
    return len(subject.features.steps(subject.keys.frames, "bytes_list")) == 1


def check_keys(subject: Subject) -> None:
    """Checks that the features are there that every record must have, and its id."""
    features, keys = subject.features, subject.keys
    missing = [key for key in keys.required if not features.has(key)]
    if _sound_alone(subject):
        missing = [key for key in missing if key != keys.frames]
    if missing:
        raise Wrong(MISSING_KEY, f"it lacks {', '.join(missing)}")
    if keys.example_id in keys.required:
        identity = features.context(keys.example_id, "bytes_list")
        if len(identity) != 1 or not identity[0]:
            raise Wrong(EMPTY_ID, f"{keys.example_id} is {list(identity)!r}")


def check_clip(subject: Subject) -> float | None:
    """Checks clip times, frames and rate; returns how many seconds the clip's media last."""
    features, expected = subject.features, subject.expected
    start = features.number(record_keys.CLIP_START, "int64_list")
    end = features.number(record_keys.CLIP_END, "int64_list")
    if start is not None and end is not None:
        shortest = 0 if _still(subject) else 1
        if not (start >= 0 and end - start >= shortest):
            raise Wrong(CLIP_TIMES, f"the clip is from {start} to {end} microseconds")
    if _sound_alone(subject):
        return None if start is None or end is None else (end - start) / record_keys.MICROSECONDS
    count = _check_frames(subject)
    rate = features.number(record_keys.FRAME_RATE, "float_list")
    check_rate(FRAME_RATE, rate, expected.frame_rate)
    rate = expected.frame_rate if rate is None else rate
    return None if rate is None else count / rate


def _check_frames(subject: Subject) -> int:
    """Checks number, headers and sizes of the frames; returns how many there are."""
    features, keys, limits = subject.features, subject.keys, subject.limits
    frames = [
        step[0] if len(step) == 1 else b"" for step in features.steps(keys.frames, "bytes_list")
    ]
    if not frames:
        raise Wrong(NO_FRAMES, f"{keys.frames} is empty")
    if len(frames) > limits.frames:
        raise Wrong(TOO_MANY_FRAMES, f"{len(frames)} frames, at most {limits.frames} are read")
    size: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        header = read_jpeg_header(frame)
        if isinstance(header, JpegProblem):
            raise Wrong(header.reason, f"frame {index}: {header.detail}")
        if header.height * header.width > limits.frame_pixels:
            raise Wrong(
                LARGE_FRAME,
                f"frame {index} is {header.width} x {header.height}, at most "
                f"{limits.frame_pixels} pixels are decoded",
            )
        if size is not None and size != (header.height, header.width):
            raise Wrong(
                MIXED_FRAMES,
                f"frame {index} is {header.width} x {header.height}, those before are "
                f"{size[1]} x {size[0]}",
            )
        size = (header.height, header.width)
    return len(frames)
