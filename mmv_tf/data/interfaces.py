# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What reading asks of the layers that it uses: data does not depend on layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

Example = dict[str, tf.Tensor]
Tokenizer = Callable[[tf.Tensor], tf.Tensor]


class LogMel(Protocol):
    """What the reader asks of `mmv_tf.layers.LogMel`."""

    sample_rate: int
    step: int
    mel_bins: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[N, samples] -> [N, frames, mel_bins, 1]."""

    def get_config(self) -> dict[str, Any]:
        """Settings of the spectrogram."""
