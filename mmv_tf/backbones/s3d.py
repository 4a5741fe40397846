# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""S3D-G, the separable, gated Inception network for video (Xie et al., arXiv 1712.04851)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers import Conv3DUnit, InceptionBlock, SpaceToDepth
from mmv_tf.layers.inception_block import max_pool

# Channel counts of the full-width network, as released (deepmind-research mmv/models/s3d.py):
# branch 0; branch 1 reduce, branch 1; branch 2 reduce, branch 2; branch 3.
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
STEMS = ("rgb", "space_to_depth")


def scale_channels(channels: int, width: float) -> int:
    """`channels * width`, to the nearest multiple of 4 and at least 4."""
    return max(4, 4 * round(channels * width / 4))


@keras.saving.register_keras_serializable("mmv_tf")
class S3D(keras.layers.Layer):
    """Clips [B, T, H, W, 3] in [0, 1] -> representations [B, d], d = 1024 at full width.

    Temporal convolutions and gating start at `Conv2d_2c_3x3`; the last feature map is averaged
    over time and space (PAPER section 1).

    Args:
      stem: "rgb" (a 7x7x7 convolution with stride 2) or "space_to_depth" (2x2x2 pixels become 24
        channels, then a 2x4x4 convolution), which the released weights use. The input is RGB either
        way.
      width: multiplies all channel counts; 1 is the paper's.
      blocks: how many Inception blocks stages 3, 4 and 5 have; (2, 5, 2) is the paper's. With
        fewer, the first ones of a stage are left out.
      deflated: the image form on [B, H, W, 3]; made by `mmv_tf.deflate`.

    Call arguments:
      inputs: float [B, T, H, W, 3]; any T >= 1 and H, W >= 32.
      training, valid: as in `BatchNorm`.
      return_endpoints: return a dict of every endpoint by its name, in order, the last being
        "embedding".

    Example:
    >>> S3D(width=0.125)(tf.zeros([1, 4, 32, 32, 3])).shape
    TensorShape([1, 128])
    """

    def __init__(
        self,
        stem: str = "rgb",
        width: float = 1.0,
        blocks: Sequence[int] = (2, 5, 2),
        deflated: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if stem not in STEMS:
            raise ValueError(f"stem is {stem!r}; use one of {STEMS}.")
        if len(blocks) != 3 or not all(
            1 <= count <= len(names) for count, names in zip(blocks, _STAGES.values(), strict=True)
        ):
            raise ValueError(
                f"blocks is {tuple(blocks)}; it takes three numbers from 1 to 2, 5 and 2."
            )
        self.stem = stem
        self.width = width
        self.blocks = tuple(blocks)
        self.deflated = deflated
        self.space_to_depth = None
        if stem == "space_to_depth":
            self.space_to_depth = SpaceToDepth(deflated, dtype=self.dtype_policy)
        self.layer_names, self.sequence = self._make_layers()

    def _make_layers(self) -> tuple[list[str], list[keras.layers.Layer]]:
        gated = dict(gating=True, deflated=self.deflated, dtype=self.dtype_policy)
        plain = dict(deflated=self.deflated, dtype=self.dtype_policy)

        def channels(count: int) -> int:
            return scale_channels(count, self.width)

        def pool(size: Sequence[int], strides: Sequence[int]) -> Any:
            return max_pool(size, strides, self.deflated, self.dtype_policy)

        layers: dict[str, keras.layers.Layer] = {
            "Conv2d_1a_7x7": self._make_stem(channels(64)),
            "MaxPool_2a_3x3": pool((1, 3, 3), (1, 2, 2)),
            "Conv2d_2b_1x1": Conv3DUnit(channels(64), (1, 1, 1), **plain),
            "Conv2d_2c_3x3": Conv3DUnit(channels(192), (3, 3, 3), separable=True, **gated),
            "MaxPool_3a_3x3": pool((1, 3, 3), (1, 2, 2)),
        }
        pools = {4: ("MaxPool_4a_3x3", (3, 3, 3)), 5: ("MaxPool_5a_2x2", (2, 2, 2))}
        for (stage, names), count in zip(_STAGES.items(), self.blocks, strict=True):
            if stage in pools:
                name, size = pools[stage]
                layers[name] = pool(size, (2, 2, 2))
            for name in names[-count:]:
                filters = [channels(c) for c in _INCEPTION_FILTERS[name]]
                layers[name] = InceptionBlock(filters, **gated)
        return list(layers), list(layers.values())

    def _make_stem(self, filters: int) -> Conv3DUnit:
        if self.stem == "rgb":
            kernel, strides = (7, 7, 7), (2, 2, 2)
        else:
            kernel, strides = (2, 4, 4), (1, 1, 1)
        return Conv3DUnit(filters, kernel, strides, deflated=self.deflated, dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights; no size but the three colours has to be known."""
        lead = (None,) * (3 if self.deflated else 4)
        channels: Any = 3
        if self.space_to_depth is not None:
            channels = self.space_to_depth.compute_output_shape((*lead, channels))[-1]
        for layer in self.sequence:
            layer.build((*lead, channels))
            if isinstance(layer, Conv3DUnit):
                channels = layer.filters
            elif isinstance(layer, InceptionBlock):
                channels = layer.output_channels
        self.feature_dim = channels
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        valid: Any = None,
        return_endpoints: bool = False,
    ) -> Any:
        """See the class."""
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

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, d]."""
        filters = self.sequence[-1].output_channels
        return (input_shape[0], filters)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "stem": self.stem,
            "width": self.width,
            "blocks": self.blocks,
            "deflated": self.deflated,
        }
