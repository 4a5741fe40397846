# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""ResNet v2 for images or spectrograms: MMV's audio backbone and the trunk of TSM-ResNet."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.backbones.base import Backbone
from mmv_tf.layers import BatchNorm, ResidualBlock
from mmv_tf.layers.base import check_sizes, check_width, policies_from, scale_channels

# Number of residual blocks in each of the four groups.
_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
_STRIDES = (1, 2, 2, 2)


@keras.saving.register_keras_serializable("mmv_tf")
class ResNet(Backbone):
    """[B, H, W, C] -> [B, d], d = 512 (depth 18, 34) or 2048 (50, 101), times the width.

    The stem is a 7x7 convolution with stride 2 and a 3x3 max-pool with stride 2, without batch
    norm. Blocks are pre-activated; batch norm and ReLU precede the final mean, as in the released
    code (deepmind/deepmind-research, mmv/models/resnet.py).

    Args:
      depth: 18, 34 (basic blocks), 50 or 101 (bottleneck blocks).
      width: multiplier for all channel counts.
      channels: number of input channels: 1 for a log-mel spectrogram, 3 for images.
      shift_fraction: fraction for the `TemporalShift` in each block; 0 for no shift.
      bfloat16_from: under the "mixed_bfloat16" policy, the first part that computes in bfloat16:
        "stem" or "group_G_block_B"; the parts before it compute in float32.

    Call arguments:
      inputs: float [B, H, W, channels]. A spectrogram is [B, frames, mel_bins, 1].
      training, valid: see `BatchNorm`.
      return_endpoints: return a dict of all endpoints by name, in order; the last is "embedding".
        "last_conv" precedes the final batch norm and ReLU, as in the released audio backbone.

    Example:
    >>> ResNet(depth=18, width=0.25, channels=1)(tf.zeros([2, 150, 80, 1])).shape
    TensorShape([2, 128])
    """

    def __init__(
        self,
        depth: int = 50,
        width: float = 1.0,
        channels: int = 1,
        shift_fraction: float = 0.0,
        bfloat16_from: str = "group_1_block_1",
        **kwargs: Any,
    ):
        # No autocast: the stem may compute in float32 and the rest in bfloat16.
        super().__init__(**{**kwargs, "autocast": False})
        if depth not in _DEPTHS:
            raise ValueError(f"depth is {depth}; use one of {sorted(_DEPTHS)}.")
        check_width(width)
        check_sizes(channels=channels)
        self.depth = depth
        self.width = width
        self.channels = channels
        self.shift_fraction = shift_fraction
        self.bfloat16_from = bfloat16_from
        counts = _DEPTHS[depth]
        blocks_in_order = [f"group_{g}_block_{b}" for g in range(4) for b in range(counts[g])]
        policies = policies_from(self.dtype_policy, ["stem", *blocks_in_order], bfloat16_from)
        bottleneck = depth >= 50
        self.stem_filters = scale_channels(64, width)
        self.stem_convolution = keras.layers.Conv2D(
            self.stem_filters,
            7,
            2,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            dtype=policies["stem"],
        )
        self.stem_pool = keras.layers.MaxPooling2D(
            3, 2, "same", "channels_last", dtype=policies["stem"]
        )
        self.groups = []
        incoming = self.stem_filters
        for group, (count, strides) in enumerate(zip(counts, _STRIDES, strict=True)):
            filters = scale_channels((256 if bottleneck else 64) * 2**group, width)
            blocks = []
            for block in range(count):
                blocks.append(
                    ResidualBlock(
                        filters,
                        strides=strides if block == 0 else 1,
                        # In narrow ResNets, strided blocks may keep the minimum channel count.
                        projection=block == 0 and (filters != incoming or strides > 1),
                        bottleneck=bottleneck,
                        shift_fraction=shift_fraction,
                        dtype=policies[f"group_{group}_block_{block}"],
                    )
                )
                incoming = filters
            self.groups.append(blocks)
        self.feature_dim = incoming
        self.final_norm = BatchNorm(activation="relu", dtype=self.dtype_policy)

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """Return "stem", "group_0/block_0" and so on, and "final_norm"."""
        blocks = {
            f"group_{group}/block_{index}": block
            for group, blocks in enumerate(self.groups)
            for index, block in enumerate(blocks)
        }
        return {"stem": self.stem_convolution, **blocks, "final_norm": self.final_norm}

    def build(self, input_shape: Any = None) -> None:
        """Create the variables; the input's sizes need not be known."""
        self.stem_convolution.build((None, None, None, self.channels))
        incoming = self.stem_filters
        for blocks in self.groups:
            for block in blocks:
                block.build((None, None, None, incoming))
                incoming = block.filters
        self.final_norm.build((None, incoming))
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        return_endpoints: bool = False,
    ) -> Any:
        """Apply the layer to the inputs."""
        endpoints = self._trunk(inputs, training, valid)
        endpoints["last_conv"] = endpoints["group_3"]
        x = self.final_norm(endpoints["last_conv"], training=training, valid=valid)
        endpoints["embedding"] = tf.reduce_mean(x, [1, 2])
        return endpoints if return_endpoints else endpoints["embedding"]

    def _trunk(
        self, images: tf.Tensor, training: bool, valid: Any, num_frames: Any = None
    ) -> dict[str, tf.Tensor]:
        x = self.stem_pool(self.stem_convolution(images))
        endpoints = {"stem": x}
        for index, blocks in enumerate(self.groups):
            for block in blocks:
                x = block(x, training=training, valid=valid, num_frames=num_frames)
            endpoints[f"group_{index}"] = x
        return endpoints

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "depth": self.depth,
            "width": self.width,
            "channels": self.channels,
            "shift_fraction": self.shift_fraction,
            "bfloat16_from": self.bfloat16_from,
        }
