# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks clips stored as video, without decoding them."""

from __future__ import annotations

import numpy as np

from mmv_tf.data.integrity.rules import (
    AUDIO_LENGTH,
    LARGE_FRAME,
    NO_FRAMES,
    SAMPLE_RATE,
    TOO_MANY_FRAMES,
    CheckFailed,
    CheckInput,
    Limits,
    check_rate,
)
from mmv_tf.data.records import keys as keys_lib
from mmv_tf.data.stored_clips import mp4
from mmv_tf.data.stored_clips.clip_decoder import StoredClip

FRAME_TIMES = "frame times"
FRAME_SIZE = "wrong frame size"

# Ours: audio may end this much before its clip, because of rounding.
_MISSING_SECONDS = 0.001


def open_clip(data: bytes, limits: Limits) -> StoredClip:
    """Parse a clip's file, and check it against the limits before anything is decoded.

    Raises:
      CheckFailed: it is damaged or exceeds a limit.
    """
    try:
        tracks = mp4.read_mp4(data)
        if tracks.video is not None:
            _check_track(tracks.video, limits)
            mp4.check_slices(data, tracks.video)
    except mp4.Mp4Error as error:
        raise CheckFailed(error.reason, error.detail) from error
    return StoredClip(data, tracks)


def _check_track(track: mp4.Track, limits: Limits) -> None:
    if len(track.sizes) > limits.frames:
        raise CheckFailed(
            TOO_MANY_FRAMES, f"{len(track.sizes)} frames, more than the limit of {limits.frames}"
        )
    if track.height * track.width > limits.frame_pixels:
        raise CheckFailed(
            LARGE_FRAME,
            f"frames are {track.width} x {track.height}, more than the limit of "
            f"{limits.frame_pixels} pixels",
        )


def stored_clip(subject: CheckInput) -> StoredClip | None:
    """Return a record's clip; None if it has none, as when only a log-mel is stored."""
    files = subject.features.context(keys_lib.ENCODED_MEDIA, "bytes_list")
    if not len(files):
        return None
    return open_clip(files[0], subject.limits)


def check_video(subject: CheckInput) -> int:
    """Check the number, times and size of the frames against the record; return their number."""
    features, clip = subject.features, subject.clip
    if clip is None or clip.tracks.video is None:
        raise CheckFailed(NO_FRAMES, f"{keys_lib.ENCODED_MEDIA} has no video")
    track = clip.tracks.video
    steps = features.steps(keys_lib.FRAME_TIMES, "int64_list")
    stated = np.array([step[0] if len(step) == 1 else -1 for step in steps], np.int64)
    start = features.number(keys_lib.ENCODED_MEDIA_START, "int64_list") or 0
    found = track.times * round(keys_lib.MICROSECONDS) // track.timescale + start
    if not np.array_equal(stated, found):
        raise CheckFailed(
            FRAME_TIMES,
            f"the record states the times of {len(stated)} frames, which differ from those of the "
            f"{len(found)} frames stored",
        )
    size = [features.number(key, "int64_list") for key in (keys_lib.HEIGHT, keys_lib.WIDTH)]
    even = [None if side is None else side + side % 2 for side in size]
    if even != [track.height, track.width]:
        raise CheckFailed(
            FRAME_SIZE,
            f"frames are {track.width} x {track.height}, but the record states "
            f"{size[1]} x {size[0]}",
        )
    return clip.num_frames


def check_stored_audio(subject: CheckInput) -> list[str]:
    """Check the rate and length of the audio; note "no audio"."""
    features, limits, clip = subject.features, subject.limits, subject.clip
    track = None if clip is None else clip.tracks.sound
    if track is None:
        is_damaged = clip is None and features.has(keys_lib.ENCODED_MEDIA)
        return [] if is_damaged or features.has(subject.keys.log_mel) else ["no audio"]
    rate = features.number(keys_lib.SAMPLE_RATE, "float_list")
    check_rate(SAMPLE_RATE, rate, subject.expected.sample_rate)
    check_rate(SAMPLE_RATE, float(track.timescale), subject.expected.sample_rate)
    if track.end > limits.samples:
        raise CheckFailed(
            AUDIO_LENGTH, f"{track.end} samples, more than the limit of {limits.samples}"
        )
    start = features.number(keys_lib.CLIP_START, "int64_list")
    end = features.number(keys_lib.CLIP_END, "int64_list")
    if start is not None and end is not None:
        seconds = (end - start) / keys_lib.MICROSECONDS
        if track.end / track.timescale < seconds - _MISSING_SECONDS:
            raise CheckFailed(
                AUDIO_LENGTH,
                f"{track.end} samples at {track.timescale} Hz for a clip of {seconds:g} s",
            )
    return []
