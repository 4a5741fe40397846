# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A clip's audio: samples positioned by their times, in blocks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import cast

import av
import numpy as np

from mmv_tf.data.media.decoding import decode_from
from mmv_tf.data.media.scan import Part
from mmv_tf.data.media.timeline import Timeline

AAC_SAMPLES = 1024  # per AAC frame
# Sample rates of AAC, Hz (ISO/IEC 14496-3, table 1.18).
_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025)
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
# Ours: as in `media.waveform`, samples are consecutive unless their time is off by more.
_GAP_SECONDS = 0.03


@dataclasses.dataclass(frozen=True)
class Sound:
    """A film's audio, and how it is encoded.

    Attributes:
      path, timeline: the film.
      rate: samples per second.
      layout: "mono", "stereo" or "5.1".
    """

    path: str
    timeline: Timeline
    rate: int
    layout: str

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels' names."""
        return tuple(channel.name for channel in av.AudioLayout(self.layout).channels)

    @classmethod
    def of(cls, path: str, timeline: Timeline) -> Sound | None:
        """Return a film's audio, or None if it has none that can be decoded."""
        part = next((part for part in timeline.parts if part.audio is not None), None)
        if part is None:
            return None
        rate = next((rate for rate in _RATES if rate <= part.sample_rate), _RATES[-1])
        first = next(decode_from(path, part, "audio", part.start), None)
        if first is None:
            return None
        count = len(cast(av.AudioFrame, first[1]).layout.channels)
        return cls(path, timeline, rate, _LAYOUTS.get(count, "stereo"))


def sound_blocks(sound: Sound, start: float, end: float) -> Iterator[np.ndarray]:
    """Yield the samples in a span, float32 [channels, n]; silence where there are none.

    Args:
      sound: the audio.
      start, end: seconds on the film's clock; round((end - start) * rate) samples are yielded.
    """
    total = round((end - start) * sound.rate)
    done = 0
    parts = sound.timeline.parts
    for index, part in enumerate(parts):
        until = part.end if index + 1 < len(parts) else math.inf
        if part.audio is None or part.start >= end or until <= start:
            continue
        last = min(total, round((until - start) * sound.rate)) if until < math.inf else total
        begin = max(start, part.start)
        for place, samples in _placed(sound, part, begin, min(until, end)):
            first = round((begin - start) * sound.rate) + place
            skipped = max(0, done - first)  # before the start, or already yielded
            samples = samples[:, skipped : max(skipped, last - first)]
            if not samples.shape[1]:
                continue
            yield from _silence(sound, first + skipped - done)
            yield samples
            done = first + skipped + samples.shape[1]
    yield from _silence(sound, total - done)


def _placed(sound: Sound, part: Part, begin: float, end: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield resampled blocks in order, each with its offset in samples after `begin`."""
    resampler: av.AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    place, expected = 0, -math.inf
    for time, frame, _ in decode_from(sound.path, part, "audio", begin):
        frame = cast(av.AudioFrame, frame)
        if time >= end + 0.1:  # a little more, for the resampler's filter
            break
        frame_kind = frame.format.name, frame.layout.name, frame.sample_rate
        if resampler is None or kind != frame_kind or abs(time - expected) > _GAP_SECONDS:
            if resampler is not None:
                for samples in _samples(resampler, None):
                    yield place, samples
            resampler = av.AudioResampler("fltp", sound.layout, sound.rate)
            kind, expected = frame_kind, time
            place = round((time - begin) * sound.rate)
        expected += frame.samples / frame.sample_rate
        frame.pts = None  # samples are counted here
        for samples in _samples(resampler, frame):
            yield place, samples
            place += samples.shape[1]
    if resampler is not None:
        for samples in _samples(resampler, None):
            yield place, samples
            place += samples.shape[1]


def _samples(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    for piece in resampler.resample(frame):
        samples = np.nan_to_num(piece.to_ndarray(), nan=0.0, posinf=1.0, neginf=-1.0)
        yield np.clip(samples, -1.0, 1.0).astype(np.float32)


def _silence(sound: Sound, count: int) -> Iterator[np.ndarray]:
    """Yield `count` samples of silence in blocks of at most a second."""
    while count > 0:
        block = min(count, sound.rate)
        yield np.zeros((len(sound.channels), block), np.float32)
        count -= block
