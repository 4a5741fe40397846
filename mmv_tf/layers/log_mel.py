# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-mel spectrogram of a waveform, computed in the TensorFlow graph."""

from __future__ import annotations

import functools
import logging
import math
import types
import warnings
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes

_MOST = 1_000_000  # Ours: no microphone has such a sample rate.
_COMPRESSIONS = ("log1p_10000", "log_1e-6")


@functools.cache
def _tfio_audio() -> types.ModuleType | None:
    """Return tensorflow-io's audio functions, or None if it is not installed.

    They are pure Python. On import, tensorflow-io warns that its native library does not load under
    a current TensorFlow, which is harmless here; only these warnings are hidden.
    """
    logger = logging.getLogger()
    hush = lambda record: "unable to load" not in record.getMessage()  # noqa: E731
    logger.addFilter(hush)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="(?s).*(unable to load|file system plugins).*"
            )
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            import tensorflow_io
    except ImportError:
        return None
    finally:
        logger.removeFilter(hush)
    return tensorflow_io.audio


def _spectrogram(waveform: tf.Tensor, window: int, step: int) -> tf.Tensor:
    """[B, samples] -> magnitudes [B, ceil(samples / step), window // 2 + 1]."""
    audio = _tfio_audio()
    if audio is not None:
        return audio.spectrogram(waveform, window, window, step)
    return tf.abs(tf.signal.stft(waveform, window, step, window, pad_end=True))


def _melscale(
    magnitude: tf.Tensor, sample_rate: int, mel_bins: int, lower_hz: float, upper_hz: float
) -> tf.Tensor:
    """[B, frames, bins] -> [B, frames, mel_bins]."""
    audio = _tfio_audio()
    if audio is not None:
        return audio.melscale(magnitude, sample_rate, mel_bins, lower_hz, upper_hz)
    bins = tf.shape(magnitude)[-1]
    filters = tf.signal.linear_to_mel_weight_matrix(mel_bins, bins, sample_rate, lower_hz, upper_hz)
    return tf.tensordot(magnitude, filters, 1)


@keras.saving.register_keras_serializable("mmv_tf")
class LogMel(Layer):
    """[B, samples] waveform in [-1, 1] -> [B, frames, mel_bins, 1], frames = ceil(samples / step).

    The spectrogram is the magnitude (not the power) of a short-time Fourier transform with a
    periodic Hann window, padded at the end, followed by mel filters and a logarithm. MMV (Alayrac
    et al., 2020) uses 80 bins; the window of 2048 and the step of 1024 samples at 48 kHz come from
    VATT (Akbari et al., 2021), which follows MMV. The mel edges (80-7600 Hz) come from DMVR, VATT
    and BRAVE. MMV's compression is not published; the default, `log(1 + 10000 mel)`, comes from
    VATT and BRAVE.

    If tensorflow-io is installed (the extra `io`), its transform and filters are used, and
    otherwise those of tf.signal: the operations and values are the same on every platform.

    Args:
      sample_rate: sample rate, in Hz.
      window: length of the window and of the transform, in samples.
      step: distance between windows, in samples.
      mel_bins: number of filters.
      lower_hz, upper_hz: edges of the filter bank.
      compression: "log1p_10000" or "log_1e-6" (log(mel + 1e-6)).
    """

    def __init__(
        self,
        sample_rate: int = 48_000,
        window: int = 2048,
        step: int = 1024,
        mel_bins: int = 80,
        lower_hz: float = 80.0,
        upper_hz: float = 7600.0,
        compression: str = "log1p_10000",
        **kwargs: Any,
    ):
        # Spectra need float32, even in a model that computes in bfloat16.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if compression not in _COMPRESSIONS:
            raise ValueError(f"compression is {compression!r}; use one of {_COMPRESSIONS}.")
        if not 0 <= lower_hz < upper_hz <= sample_rate / 2:
            raise ValueError(
                f"The mel edges {lower_hz}-{upper_hz} Hz must increase and stay below half the "
                f"sample rate of {sample_rate} Hz."
            )
        sizes = dict(sample_rate=sample_rate, window=window, step=step, mel_bins=mel_bins)
        check_sizes(**sizes)
        for name, size in sizes.items():
            if size > _MOST:
                raise ValueError(f"{name} is {size}; expected at most {_MOST}.")
        self.sample_rate = sample_rate
        self.window = window
        self.step = step
        self.mel_bins = mel_bins
        self.lower_hz = lower_hz
        self.upper_hz = upper_hz
        self.compression = compression

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Do nothing: the layer has no variables."""
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Apply the layer to the inputs."""
        magnitude = _spectrogram(tf.cast(inputs, tf.float32), self.window, self.step)
        mel = _melscale(magnitude, self.sample_rate, self.mel_bins, self.lower_hz, self.upper_hz)
        if self.compression == "log1p_10000":
            log_mel = tf.math.log1p(10_000.0 * mel)
        else:
            log_mel = tf.math.log(mel + 1e-6)
        return log_mel[..., tf.newaxis]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [B, frames, mel_bins, 1]."""
        samples = input_shape[-1]
        frames = None if samples is None else math.ceil(samples / self.step)
        return (*input_shape[:-1], frames, self.mel_bins, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "window": self.window,
            "step": self.step,
            "mel_bins": self.mel_bins,
            "lower_hz": self.lower_hz,
            "upper_hz": self.upper_hz,
            "compression": self.compression,
        }
