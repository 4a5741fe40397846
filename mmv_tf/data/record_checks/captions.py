# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record's captions and their times."""

from __future__ import annotations

import numpy as np

from mmv_tf.data import record_keys
from mmv_tf.data.record_checks.rules import Wrong
from mmv_tf.data.record_checks.subject import Subject

CAPTION_COUNT = "caption counts differ"
CAPTION_LENGTH = "caption too long"
CAPTION_TIMES = "caption times"
TOO_MANY_CAPTIONS = "too many captions"


def check_captions(subject: Subject) -> list[str]:
    """Checks how many captions there are, how long, and when; notes "no captions"."""
    features, keys, limits = subject.features, subject.keys, subject.limits
    lists = keys.caption_lists
    captions = features.either(keys.caption, "bytes_list", lists)
    starts = np.array(features.either(keys.caption_start, "int64_list", lists), np.int64)
    ends = np.array(features.either(keys.caption_end, "int64_list", lists), np.int64)
    if not captions and not len(starts):
        return ["no captions"]
    if len(captions) > limits.captions:
        raise Wrong(
            TOO_MANY_CAPTIONS, f"{len(captions)} captions, at most {limits.captions} are read"
        )
    longest = max(map(len, captions), default=0)
    if longest > limits.caption_bytes:
        raise Wrong(CAPTION_LENGTH, f"{longest} bytes, at most {limits.caption_bytes} are read")
    timed = len(starts) or len(ends)
    if timed and not len(captions) == len(starts) == len(ends):
        raise Wrong(
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
            raise Wrong(CAPTION_TIMES, f"caption {index}, {starts[index]}-{ends[index]} us, {what}")
    window = subject.expected.caption_window_seconds
    clip_start = features.number(record_keys.CLIP_START, "int64_list")
    clip_end = features.number(record_keys.CLIP_END, "int64_list")
    if window is not None and clip_start is not None and clip_end is not None:
        # A millisecond for rounding.
        reach = (window + 1e-3) * record_keys.MICROSECONDS
        far = (ends < clip_start - reach) | (starts > clip_end + reach)
        if far.any():
            index = int(np.flatnonzero(far)[0])
            raise Wrong(
                CAPTION_TIMES,
                f"caption {index}, {starts[index]}-{ends[index]} us, is farther than {window:g} s "
                f"from the clip, {clip_start}-{clip_end} us",
            )
    return []
