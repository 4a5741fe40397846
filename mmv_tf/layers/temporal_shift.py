# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Temporal Shift Module (Lin et al., arXiv 1811.08383), as in the released MMV models."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer


@keras.saving.register_keras_serializable("mmv_tf")
class TemporalShift(Layer):
    """Move the first channels one frame later and the last channels one frame earlier.

    With n = int(fraction * C), the output's channels are [last n, from frame t+1 | middle |
    first n, from frame t-1]. This order, a permutation of the input's, matches the released code
    (deepmind/deepmind-research, mmv/models/tsm_utils.py). Frames beyond the clip are zero.

    Args:
      fraction: fraction of the channels shifted in each direction, in [0, 0.5].

    Call arguments:
      inputs: [B * T, H, W, C], with each clip's frames adjacent.
      num_frames: T, an int or a scalar tensor.
    """

    def __init__(self, fraction: float = 0.125, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0.0 <= fraction <= 0.5:
            raise ValueError(f"fraction is {fraction}; it must be in [0, 0.5].")
        self.fraction = fraction

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Do nothing: the layer has no variables."""
        self.built = True

    def call(self, inputs: tf.Tensor, num_frames: Any) -> tf.Tensor:
        """Apply the layer to the inputs."""
        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        shifted = int(channels * self.fraction)
        if shifted == 0:
            return inputs
        frames = tf.reshape(inputs, [-1, num_frames, shape[1], shape[2], channels])
        no_pad = [0, 0]
        later = tf.pad(frames[:, 1:, ..., -shifted:], [no_pad, [0, 1], no_pad, no_pad, no_pad])
        earlier = tf.pad(frames[:, :-1, ..., :shifted], [no_pad, [1, 0], no_pad, no_pad, no_pad])
        outputs = tf.concat([later, frames[..., shifted:-shifted], earlier], axis=-1)
        outputs = tf.reshape(outputs, shape)
        outputs.set_shape(inputs.shape)
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {**super().get_config(), "fraction": self.fraction}
