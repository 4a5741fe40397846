# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A cut clip: its mode, its limits and its actual times."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import re
from typing import Any

import av

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.timeline import timeline_of
from mmv_tf.search.cutting.copying import copy
from mmv_tf.search.cutting.encoding import encode
from mmv_tf.search.decoder import Decoder

COPY, EXACT = MODES = ("copy", "exact")
MOST_SECONDS = 600.0  # Ours: far longer than a moment, and at most minutes of encoding.
# Ours: the minimum length, one frame of a slow film.
_LEAST_SECONDS = 0.04


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip's times in its film, in seconds.

    Attributes:
      start, end: the clip's span: the requested span, or a longer one with the mode `COPY`.
    """

    start: float
    end: float


def clip_name(video: str, start: float, end: float) -> str:
    """Return a name for a clip's file, without characters that file systems forbid.

    Args:
      video: the video's name.
      start, end: seconds.
    """
    stem = pathlib.PurePosixPath(video).stem
    plain = re.sub(r"[^\w. -]+", "_", stem).strip(" .")[:80] or "clip"
    return f"{plain} {start:.2f}-{end:.2f}.mp4"


def check_span(start: float, end: float) -> None:
    """Check a clip's times before any work is done.

    Raises:
      ValueError: the clip is too long, too short, or starts before the film.
    """
    if not (start >= 0 and end - start >= _LEAST_SECONDS):
        raise ValueError(
            f"Got a clip from {start:g} to {end:g} s; expected a start of 0 or more and an end "
            f"at least {_LEAST_SECONDS:g} s later."
        )
    if end - start > MOST_SECONDS:
        raise ValueError(f"Got a clip of {end - start:.1f} s; expected at most {MOST_SECONDS:g} s.")


def cut(path: str, start: float, end: float, output: str, mode: str = EXACT) -> Clip:
    """Write a part of a video as an MP4 file.

    Args:
      path: the video.
      start, end: seconds from the first frame; an end after the video's end is clamped to it.
      output: file to write. It may be incomplete if this raises.
      mode: `EXACT` re-encodes to H.264 and AAC; `COPY` keeps the compressed streams and starts at
        the last key frame that is not later than the start.

    Raises:
      ValueError: as for `check_span`, or the mode is unknown.
      MediaError: the video can't be decoded, ends before the start, or can't be copied.
      OSError: the disk is full or not writable.
    """
    check_span(start, end)
    if mode not in MODES:
        raise ValueError(f"The mode is {mode!r}; expected {' or '.join(MODES)}.")
    timeline = timeline_of(path)
    if not timeline.has_video:
        raise MediaError(f"{path}: no video stream found; expected a video.")
    end = min(end, timeline.length)
    if start >= end:
        raise MediaError(
            f"{path}: the video ends at {timeline.length:.2f} s; expected an earlier start."
        )
    write = encode if mode == EXACT else copy
    try:
        return Clip(*write(path, timeline, start, end, output))
    except av.FFmpegError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        reason = (error.strerror or str(error)).strip()
        raise MediaError(f"{path}: can't be cut ({reason}).") from error


def cut_in_child(
    decoder: Decoder, path: str, start: float, end: float, output: str, mode: str = EXACT
) -> Clip:
    """Call `cut` in a child process, which is killed if it takes too long.

    Raises:
      ValueError, MediaError, OSError: as for `cut` and `Decoder.call`.
    """
    check_span(start, end)
    result: dict[str, Any] = decoder.call(_cut, path, path, start, end, output, mode)
    if "errno" in result:
        raise OSError(result["errno"], result["reason"])
    return Clip(**result)


def _cut(path: str, start: float, end: float, output: str, mode: str) -> dict[str, Any]:
    try:
        return dataclasses.asdict(cut(path, start, end, output, mode))
    except MediaError:
        raise
    except OSError as error:
        # As a value: a raised error would end the pool.
        return {"errno": error.errno or errno.EIO, "reason": error.strerror or str(error)}
