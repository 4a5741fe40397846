# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record's sound: samples or a stored log-mel."""

from __future__ import annotations

import numpy as np

from mmv_tf.data import record_keys
from mmv_tf.data.record_checks.rules import Wrong, check_rate
from mmv_tf.data.record_checks.subject import Subject

AUDIO_NOT_FINITE = "audio not finite"
AUDIO_RANGE = "audio out of range"
AUDIO_LENGTH = "audio length"
DMVR_AUDIO = "corrupt DMVR audio"
SAMPLE_RATE = "wrong sample rate"
LOG_MEL_SHAPE = "log-mel shape"

# A sound this loud is no sound in [-1, 1]: mixing and resampling overshoot a little. Ours.
_LOUDEST = 16.0
# How much of the sound that the frames last must be there, and how much more may be; ours.
_SHORTEST_SHARE, _LONGEST_SHARE = 0.5, 2.0


def check_sound(subject: Subject) -> list[str]:
    """Checks samples: number, rate, numbers that are sound; notes "no audio" and "silent"."""
    features, keys, seconds = subject.features, subject.keys, subject.seconds
    arrays = features.floats(keys.waveform)
    count = sum(map(len, arrays))
    if count == 0:
        return [] if features.has(keys.log_mel) else ["no audio"]
    if count > subject.limits.samples:
        raise Wrong(AUDIO_LENGTH, f"{count} samples, at most {subject.limits.samples} are read")
    waveform = np.concatenate(arrays)
    if looks_like_integers(waveform):
        raise Wrong(
            DMVR_AUDIO,
            "32-bit integers read as floats, as the public DMVR tool writes; prepare the data "
            "again, or let verify_data --repair reinterpret them",
        )
    finite = np.isfinite(waveform)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise Wrong(AUDIO_NOT_FINITE, f"{len(bad)} samples, the first is sample {bad[0]}")
    loudest = float(np.abs(waveform).max())
    if loudest > _LOUDEST:
        raise Wrong(AUDIO_RANGE, f"the loudest sample is {loudest:g}, expected about [-1, 1]")
    rate = features.number(record_keys.SAMPLE_RATE, "float_list")
    check_rate(SAMPLE_RATE, rate, subject.expected.sample_rate)
    rate = subject.expected.sample_rate if rate is None else rate
    if rate is not None and seconds is not None:
        share = count / (rate * seconds)
        if not _SHORTEST_SHARE <= share <= _LONGEST_SHARE:
            raise Wrong(
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


def check_log_mel(subject: Subject) -> list[str]:
    """Checks a stored spectrogram: its shape and its numbers."""
    limits = subject.limits
    steps = subject.features.floats(subject.keys.log_mel)
    if not steps:
        return []
    bins = {len(step) for step in steps}
    wanted = subject.expected.log_mel_bins
    if len(bins) != 1 or (wanted is not None and bins != {wanted}):
        raise Wrong(LOG_MEL_SHAPE, f"its frames have {sorted(bins)} bins, expected {wanted}")
    values = np.concatenate(steps)
    if len(values) > limits.samples:
        raise Wrong(AUDIO_LENGTH, f"{len(values)} values, at most {limits.samples} are read")
    if not np.isfinite(values).all():
        raise Wrong(AUDIO_NOT_FINITE, "the stored log-mel")
    return []
