# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A time span's audio as one channel."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from typing import cast

import av
import numpy as np

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.decoding import decode_from
from mmv_tf.data.media.packets import Tally
from mmv_tf.data.media.scan import Part
from mmv_tf.data.media.timeline import Timeline, timeline_of

# Ours. Containers round times, so samples are taken as consecutive unless a frame is off by more
# than this, or by more than the smaller number after a damaged packet or twice in a row.
_GAP_SECONDS = 0.03
_SMALL_GAP_SECONDS = 0.01


def read_waveform(
    path: str | pathlib.Path,
    start: float,
    end: float,
    sample_rate: int = 48_000,
    timeline: Timeline | None = None,
    tally: Tally | None = None,
) -> np.ndarray:
    """Return the audio from `start` to `end` as one channel, the mean of all but the LFE channel.

    Args:
      path: the video or audio file.
      start, end: times in seconds; in a video, counted from the first frame.
      sample_rate: sample rate to resample to, in Hz.
      timeline: the file's clock, if known; measured by default.
      tally: counts the packets that could be decoded.

    Returns:
      float32 [round((end - start) * sample_rate)] in [-1, 1]; zero where there is no audio.

    Raises:
      MediaError: there is no audio stream, or it can't be decoded.
    """
    timeline = timeline_of(path) if timeline is None else timeline
    if not timeline.has_audio:
        raise MediaError(f"{path}: no audio stream found; expected one.")
    samples = np.zeros(round((end - start) * sample_rate), np.float32)
    last = timeline.parts[-1]
    for part in timeline.parts:
        # A part of a joined file is heard until the next one starts.
        until = end if part is last else min(end, part.end)
        if part.audio is None or part.start >= end or until <= start:
            continue
        begin = max(start, part.start)
        first = round((begin - start) * sample_rate)
        count = min(round((until - begin) * sample_rate), len(samples) - first)
        into = samples[first : first + count]
        _read_part(path, part, begin, until, sample_rate, into, tally)
    if not np.isfinite(samples).all():
        raise MediaError(f"{path}: the audio contains NaN or infinity; re-encode it.")
    return np.clip(samples, -1.0, 1.0)


def _read_part(
    path: str | pathlib.Path,
    part: Part,
    start: float,
    end: float,
    sample_rate: int,
    samples: np.ndarray,
    tally: Tally | None,
) -> None:
    """Fill `samples` with the audio of one part from `start` on."""
    count = len(samples)
    resampler: av.AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    heard: list[int] = []
    position, expected, off, damaged = 0, -math.inf, 0, 0
    tally = Tally() if tally is None else tally

    def put(resampled: Sequence[av.AudioFrame]) -> None:
        nonlocal position
        for piece in resampled:
            mono = piece.to_ndarray()[heard].mean(axis=0)
            low, high = max(position, 0), min(position + len(mono), count)
            if low < high:
                samples[low:high] = mono[low - position : high - position]
            position += len(mono)

    for time, frame, _ in decode_from(path, part, "audio", start, tally=tally):
        frame = cast(av.AudioFrame, frame)
        # Half a second past the end feeds the resampler's filter.
        if time >= end + 0.5:
            break
        frame_kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        gap = abs(time - expected)
        off = off + 1 if gap > _SMALL_GAP_SECONDS else 0
        is_after_damage = off > 0 and len(tally.damaged) > damaged
        damaged = len(tally.damaged)
        if (
            resampler is None
            or kind != frame_kind
            or gap > _GAP_SECONDS
            or off > 1
            or is_after_damage
        ):
            if resampler is not None:
                put(resampler.resample(None))
            # FFmpeg's own down-mix of floats can exceed 1, so channels are averaged here.
            resampler = av.AudioResampler("fltp", frame.layout, sample_rate)
            names = [channel.name for channel in frame.layout.channels]
            heard = [i for i, name in enumerate(names) if name != "LFE" or len(names) == 1]
            kind, expected, off = frame_kind, time, 0
            position = round((time - start) * sample_rate)
        expected += frame.samples / frame.sample_rate
        frame.pts = None  # Samples are counted here; the resampler must not shift them.
        put(resampler.resample(frame))
    if resampler is not None:
        put(resampler.resample(None))
