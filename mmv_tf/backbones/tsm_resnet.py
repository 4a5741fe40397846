# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""TSM-ResNet: a ResNet v2 over frames, with channels shifted in time."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.backbones.base import VIDEO_BACKBONES
from mmv_tf.backbones.resnet import ResNet


@VIDEO_BACKBONES.register("tsm_resnet")
@keras.saving.register_keras_serializable("mmv_tf")
class TSMResNet(ResNet):
    """Clips [B, T, H, W, 3] in [0, 1] -> [B, d], d = 2048 for depth 50 and width 1.

    A `ResNet` processes each frame; its blocks shift channels between neighboring frames (Lin et
    al., arXiv 1811.08383). The features are averaged over time and space, as in the released code.
    Images [B, H, W, 3] are treated as one-frame clips.

    Args:
      depth: 18, 34 (basic blocks), 50 (as in the paper) or 101 (bottleneck blocks).
      width: multiplier for all channel counts; 2 for the paper's "x2".
      shift_fraction: fraction of the channels shifted in each direction.

    Call arguments are as for `ResNet`. Endpoints have frames in the batch axis ([B * T, h, w,
    c]), and "last_conv" follows the final batch norm and ReLU, as in the released code.
    """

    def __init__(
        self,
        depth: int = 50,
        width: float = 1.0,
        shift_fraction: float = 0.125,
        **kwargs: Any,
    ):
        kwargs.pop("channels", None)
        super().__init__(depth, width, channels=3, shift_fraction=shift_fraction, **kwargs)

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        return_endpoints: bool = False,
    ) -> Any:
        """Apply the layer to the inputs."""
        if inputs.shape.rank == 4:
            inputs = inputs[:, tf.newaxis]
        num_frames = tf.shape(inputs)[1]
        frames = tf.reshape(inputs, tf.concat([[-1], tf.shape(inputs)[2:]], axis=0))
        frames.set_shape([None, *inputs.shape[2:]])
        frame_valid = None if valid is None else tf.convert_to_tensor(valid)
        if frame_valid is not None and frame_valid.shape.rank:
            frame_valid = tf.repeat(frame_valid, num_frames)
        endpoints = self._trunk(frames, training, frame_valid, num_frames)
        endpoints["last_conv"] = self.final_norm(
            endpoints["group_3"], training=training, valid=frame_valid
        )
        features = tf.reduce_mean(endpoints["last_conv"], [1, 2])
        features = tf.reshape(features, [-1, num_frames, self.feature_dim])
        endpoints["embedding"] = tf.reduce_mean(features, 1)
        return endpoints if return_endpoints else endpoints["embedding"]
