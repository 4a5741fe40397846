# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cuts a window's audio from a waveform or a stored log-mel spectrogram, and resamples it."""

from __future__ import annotations

import math

import tensorflow as tf

# Ours: margin around a resampled window, whose ends the Fourier transform distorts.
_MARGIN_SECONDS = 0.02


def cut(values: tf.Tensor, starts: tf.Tensor, length: int) -> tf.Tensor:
    """Cut windows from an array, padded with zeros.

    Args:
      values: [N, ...].
      starts: int32 [W]; may be negative.
      length: window length.

    Returns:
      [W, length, ...].
    """
    rest = [[0, 0]] * (values.shape.rank - 1)
    total = tf.shape(values)[0]
    starts = tf.clip_by_value(starts, -length, total)
    padded = tf.pad(values, [[length, length], *rest])
    windows = tf.map_fn(
        lambda start: padded[start + length : start + 2 * length],
        starts,
        fn_output_signature=tf.TensorSpec([None, *values.shape[1:]], values.dtype),
    )
    return tf.ensure_shape(windows, [None, length, *values.shape[1:]])


def loop(values: tf.Tensor, period: tf.Tensor, length: int) -> tf.Tensor:
    """Repeat an array with a period, like the audio of a looped clip.

    Args:
      values: [N, ...]; a period longer than N is filled with zeros.
      period: int scalar, above 0.
      length: minimum length of the result.

    Returns:
      [M, ...] with M >= length, a multiple of the period; empty if `values` is empty.
    """
    rest = [[0, 0]] * (values.shape.rank - 1)
    there = tf.shape(values)[0]
    once = tf.pad(values[:period], [[0, tf.maximum(period - there, 0)], *rest])
    times = tf.where(there > 0, -(-length // period), 0)
    return tf.tile(once, [times, *[1] * len(rest)])


def cut_waveform(
    waveform: tf.Tensor, start_seconds: tf.Tensor, seconds: float, stored_rate: int, rate: int
) -> tf.Tensor:
    """Cut windows from a waveform, at the requested rate.

    Args:
      waveform: float32 [N] sampled at `stored_rate`.
      start_seconds: float32 [W].
      seconds: window duration.
      stored_rate, rate: sample rates in Hz; if they differ, the audio is resampled by `resample`.

    Returns:
      float32 [W, round(seconds * rate)].
    """
    length = round(seconds * rate)
    if stored_rate == rate:
        return cut(waveform, tf.cast(tf.round(start_seconds * rate), tf.int32), length)
    divisor = math.gcd(stored_rate, rate)
    # The shortest span that has a whole number of samples at both rates.
    unit, new_unit = stored_rate // divisor, rate // divisor
    margin = max(1, math.ceil(_MARGIN_SECONDS * divisor))
    units = math.ceil(length / new_unit) + 2 * margin
    first = tf.cast(tf.round(start_seconds * stored_rate), tf.int32) - margin * unit
    resampled = resample(cut(waveform, first, units * unit), units * new_unit)
    return resampled[:, margin * new_unit : margin * new_unit + length]


def resample(windows: tf.Tensor, length: int) -> tf.Tensor:
    """Resample by Fourier transform, which keeps exactly the frequencies that both rates can hold.

    Args:
      windows: float32 [W, N]; each is treated as periodic, so discard the ends of the result.
      length: number of samples in the result.

    Returns:
      float32 [W, length], covering the same time span.
    """
    old = windows.shape[-1]
    spectrum = tf.signal.rfft(windows)
    # Bins that both lengths have, except the highest bin of an even length, which has no phase.
    kept = (min(old, length) - 1) // 2 + 1
    spectrum = tf.pad(spectrum[:, :kept], [[0, 0], [0, length // 2 + 1 - kept]])
    result = tf.signal.irfft(spectrum, [length]) * (length / old)
    return tf.ensure_shape(result, [None, length])
