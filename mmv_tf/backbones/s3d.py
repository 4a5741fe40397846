# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""S3D-G, a separable, gated Inception network for video (Xie et al., arXiv 1712.04851)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.backbones.base import VIDEO_BACKBONES, Backbone
from mmv_tf.layers import Conv3DUnit, InceptionBlock, MaxPool, SpaceToDepth
from mmv_tf.layers.base import check_width, policies_from, scale_channels

# Channel counts at full width in the released code (deepmind/deepmind-research,
# mmv/models/s3d.py): branch 0; branch 1 reduce, branch 1; branch 2 reduce, branch 2; branch 3.
_INCEPTION_FILTERS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_STAGES = {
    3: ("Mixed_3b", "Mixed_3c"),
    4: ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
    5: ("Mixed_5b", "Mixed_5c"),
}
_UNIT_FILTERS = {"Conv2d_1a_7x7": 64, "Conv2d_2b_1x1": 64, "Conv2d_2c_3x3": 192}
# Kernel and strides.
_STEMS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "rgb": ((7, 7, 7), (2, 2, 2)),
    "rgb_4x8x8": ((4, 8, 8), (2, 2, 2)),
    "space_to_depth": ((2, 4, 4), (1, 1, 1)),
}
STEMS = tuple(_STEMS)
# Window and strides.
_POOLS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "MaxPool_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
_BEFORE_BLOCKS = (
    "Conv2d_1a_7x7",
    "MaxPool_2a_3x3",
    "Conv2d_2b_1x1",
    "Conv2d_2c_3x3",
    "MaxPool_3a_3x3",
)
_FIRST_IN_TIME = "Conv2d_2c_3x3"  # after the stem
_STAGE_POOLS: dict[int, tuple[str, ...]] = {3: (), 4: ("MaxPool_4a_3x3",), 5: ("MaxPool_5a_2x2",)}


@VIDEO_BACKBONES.register("s3d")
@keras.saving.register_keras_serializable("mmv_tf")
class S3D(Backbone):
    """Clips [B, T, H, W, 3] in [0, 1] -> representations [B, d], d = 1024 at full width.

    Temporal convolutions and gating start at `Conv2d_2c_3x3`, and the last feature map is averaged
    over time and space, as in the released code.

    Args:
      stem: "rgb" (a 7x7x7 convolution with stride 2); "rgb_4x8x8" (a 3x7x7 convolution padded by 1,
        3 and 3 on both sides; one more tap of zeros turns this into SAME padding at any size); or
        "space_to_depth" (2x2x2 pixels become 24 channels, then a 2x4x4 convolution), the stem of
        the released weights. The input is always RGB. The last stem could also be a 4x8x8
        convolution over RGB, but that is slower in bfloat16 (62 instead of 48 ms for a 32-frame
        clip at 224 x 224 on 2 cores; 97 ms for either in float32).
      width: multiplier for all channel counts; 1 in the paper.
      blocks: number of Inception blocks in stages 3, 4 and 5; (2, 5, 2) in the paper. Smaller
        numbers leave out the first blocks of a stage.
      bfloat16_from: under the "mixed_bfloat16" policy, the name of the first layer that computes in
        bfloat16; the layers before it compute in float32.
      pool_padding: padding of the strided max-pools (see `MaxPool`): "same", or "zeros_after" as in
        MIL-NCE's S3D for PyTorch. They differ only at odd sizes.

    Call arguments:
      inputs: float [B, T, H, W, 3]; any T >= 1 and H, W >= 32.
      training, valid: see `BatchNorm`.
      return_endpoints: return a dict of all endpoints by name, in order; the last is "embedding".

    Example:
    >>> S3D(width=0.125)(tf.zeros([1, 4, 32, 32, 3])).shape
    TensorShape([1, 128])
    """

    def __init__(
        self,
        stem: str = "rgb",
        width: float = 1.0,
        blocks: Sequence[int] = (2, 5, 2),
        bfloat16_from: str = "Mixed_3c",
        pool_padding: str = "same",
        **kwargs: Any,
    ):
        # No autocast: the stem may compute in float32 and the rest in bfloat16.
        super().__init__(**{**kwargs, "autocast": False})
        if stem not in STEMS:
            raise ValueError(f"stem is {stem!r}; use one of {STEMS}.")
        check_width(width)
        if len(blocks) != 3 or not all(
            1 <= count <= len(names) for count, names in zip(blocks, _STAGES.values(), strict=True)
        ):
            raise ValueError(
                f"blocks is {tuple(blocks)}; expected three numbers: from 1 to 2, from 1 to 5 and "
                "from 1 to 2."
            )
        self.stem = stem
        self.width = width
        self.blocks = tuple(blocks)
        self.bfloat16_from = bfloat16_from
        if pool_padding not in ("same", "zeros_after"):
            raise ValueError(f"pool_padding is {pool_padding!r}; use 'same' or 'zeros_after'.")
        self.pool_padding = pool_padding
        self.layer_names = self._names()
        policies = policies_from(self.dtype_policy, self.layer_names, bfloat16_from)
        self.space_to_depth = None
        if stem == "space_to_depth":
            self.space_to_depth = SpaceToDepth(dtype=policies["Conv2d_1a_7x7"])
        self.sequence = [self._make_layer(name, policies[name]) for name in self.layer_names]
        self.feature_dim = self.sequence[-1].output_channels

    def _names(self) -> list[str]:
        names = list(_BEFORE_BLOCKS)
        for (stage, blocks), count in zip(_STAGES.items(), self.blocks, strict=True):
            names += [*_STAGE_POOLS[stage], *blocks[-count:]]
        return names

    def _make_layer(self, name: str, policy: keras.DTypePolicy) -> keras.layers.Layer:
        common: dict[str, Any] = {"dtype": policy}
        if name in _POOLS:
            size, strides = _POOLS[name]
            return MaxPool(size, strides, self.pool_padding, **common)
        if name in _INCEPTION_FILTERS:
            counts = [scale_channels(count, self.width) for count in _INCEPTION_FILTERS[name]]
            return InceptionBlock(counts, gating=True, **common)
        filters = scale_channels(_UNIT_FILTERS[name], self.width)
        if name == "Conv2d_2b_1x1":
            return Conv3DUnit(filters, (1, 1, 1), **common)
        if name == "Conv2d_2c_3x3":
            return Conv3DUnit(filters, (3, 3, 3), separable=True, gating=True, **common)
        kernel, strides = _STEMS[self.stem]
        return Conv3DUnit(filters, kernel, strides, **common)

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """Return the convolutions and blocks by their names in S3D, such as "Mixed_3c"."""
        named = zip(self.layer_names, self.sequence, strict=True)
        return {name: layer for name, layer in named if name not in _POOLS}

    def build(self, input_shape: Any = None) -> None:
        """Create the variables; the input's sizes need not be known, except the three channels."""
        lead = (None,) * 4
        channels: Any = 3
        if self.space_to_depth is not None:
            channels = self.space_to_depth.compute_output_shape((*lead, channels))[-1]
        for layer in self.sequence:
            layer.build((*lead, channels))
            if isinstance(layer, Conv3DUnit):
                channels = layer.filters
            elif isinstance(layer, InceptionBlock):
                channels = layer.output_channels
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        return_endpoints: bool = False,
    ) -> Any:
        """Apply the layer to the inputs."""
        x = inputs if self.space_to_depth is None else self.space_to_depth(inputs)
        endpoints = {}
        for name, layer in zip(self.layer_names, self.sequence, strict=True):
            if isinstance(layer, Conv3DUnit | InceptionBlock):
                x = layer(x, training=training, valid=valid)
            else:
                x = layer(x)
            endpoints[name] = x
        endpoints["embedding"] = tf.reduce_mean(x, list(range(1, x.shape.rank - 1)))
        return endpoints if return_endpoints else endpoints["embedding"]

    @property
    def shares_windows(self) -> bool:
        """True if `embed_windows` is supported, that is, if the stem is "space_to_depth"."""
        return self.space_to_depth is not None

    def embed_windows(self, frames: tf.Tensor, starts: tf.Tensor, num_frames: int) -> tf.Tensor:
        """Embed overlapping windows of one video, for inference; the layer must already be built.

        Equivalent to calling the layer on each window, but the layers before the first temporal
        convolution, about a third of the work, compute each frame once. In the stem, whose kernel
        spans two steps of two frames, only each window's last step has to be recomputed: there it
        sees padding instead of the next frames.

        Args:
          frames: float [F, H, W, 3].
          starts: int32 [W], first frame of each window; even.
          num_frames: number of frames in a window; even, 4 or more.

        Returns:
          [W, d].
        """
        shared = self._before_time(frames[tf.newaxis])[0]
        last = tf.gather(frames, starts[:, tf.newaxis] + [num_frames - 2, num_frames - 1])
        steps = starts[:, tf.newaxis] // 2 + tf.range(num_frames // 2 - 1)
        x = tf.concat([tf.gather(shared, steps), self._before_time(last)], axis=1)
        place = self.layer_names.index(_FIRST_IN_TIME)
        x = self.sequence[place](x, part="time")
        for layer in self.sequence[place + 1 :]:
            x = layer(x)
        return tf.reduce_mean(x, [1, 2, 3])

    def _before_time(self, clips: tf.Tensor) -> tf.Tensor:
        """Apply all layers before the first temporal convolution to [B, T, H, W, 3]."""
        x = clips if self.space_to_depth is None else self.space_to_depth(clips)
        place = self.layer_names.index(_FIRST_IN_TIME)
        for layer in self.sequence[:place]:
            x = layer(x)
        return self.sequence[place](x, part="space")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "stem": self.stem,
            "width": self.width,
            "blocks": self.blocks,
            "bfloat16_from": self.bfloat16_from,
            "pool_padding": self.pool_padding,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> S3D:
        """Create an instance from the result of `get_config`."""
        # Drop an argument from old configurations that was always False.
        known = {key: value for key, value in config.items() if key != "deflated"}
        return super().from_config(known)
