# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rules for the layers and backbones of this project."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from mmv_tf.backbones import S3D, TSMResNet
from mmv_tf.deflation.layers import ChannelPermutation, EvenSize
from mmv_tf.deflation.registry import Walk, frames_after, register_rule, tap_weights
from mmv_tf.layers import (
    BatchNorm,
    Conv3DUnit,
    InceptionBlock,
    ProjectionHead,
    ResidualBlock,
    SelfGating,
    TemporalShift,
)


@register_rule(BatchNorm)
def _batch_norm(walk: Walk, layer: Any, inputs: Any, activate: bool = True) -> Any:
    """Deflate the norm; its activation becomes a separate layer, so that the norm can be folded."""
    x = walk.copy(inputs, activation=None)
    if layer.activation is None or not activate:
        return x
    return walk.add(layers.ReLU(dtype=layer.dtype_policy), x, part="relu")


@register_rule(SelfGating)
def _self_gating(walk: Walk, layer: Any, inputs: Any) -> Any:
    """Deflate gating: over equal frames, the mean over time and space is the mean over space."""
    walk.temporal = True
    policy = layer.dtype_policy
    mean = walk.add(
        layers.GlobalAveragePooling2D("channels_last", keepdims=True, dtype=policy),
        inputs,
        part="mean",
    )
    gate = walk(layer.gate, mean)
    return walk.add(layers.Multiply(dtype=policy), [inputs, gate], part="product")


@register_rule(Conv3DUnit)
def _unit(walk: Walk, layer: Any, inputs: Any) -> Any:
    x = inputs
    for index, (convolution, norm) in enumerate(zip(layer.convolutions, layer.norms, strict=True)):
        x = walk(norm, walk(convolution, x), activate=False)
        x = walk.add(layers.ReLU(dtype=layer.dtype_policy), x, part=f"relu_{index}")
    return x if layer.gate is None else walk(layer.gate, x)


@register_rule(InceptionBlock)
def _inception(walk: Walk, layer: Any, inputs: Any) -> Any:
    branches = [
        walk(layer.branch_0, inputs),
        walk(layer.branch_1, walk(layer.branch_1_reduce, inputs)),
        walk(layer.branch_2, walk(layer.branch_2_reduce, inputs)),
        walk(layer.branch_3, walk(layer.pool, inputs)),
    ]
    return walk.add(layers.Concatenate(dtype=layer.dtype_policy), branches, part="concatenation")


@register_rule(S3D)
def _s3d(walk: Walk, layer: Any, inputs: Any) -> Any:
    x = inputs
    named = list(zip(layer.layer_names, layer.sequence, strict=True))
    if layer.space_to_depth is not None:
        name, stem = named.pop(0)
        x = walk(_SpaceToDepthStem(stem), x, name=name)
    for name, inner in named:
        x = walk(inner, x, name=name)
    new = layers.GlobalAveragePooling2D("channels_last", dtype=layer.dtype_policy)
    return walk.add(new, x, has_time=False, part="mean")


class _SpaceToDepthStem:
    """Unit that convolves 2x2x2 blocks of pixels laid out as channels."""

    def __init__(self, unit: Conv3DUnit):
        self.unit = unit
        self.convolution = unit.convolutions[0]
        self.norm = unit.norms[0]


@register_rule(_SpaceToDepthStem)
def _space_to_depth_stem(walk: Walk, stem: Any, inputs: Any) -> Any:
    """Replace the stem with one strided convolution on pixels.

    A kernel [k_t, k, k, (2, 2, 2, C), F] over space-to-depth pixels is a kernel [2k, 2k, C, F] with
    stride 2 over pixels, summed over k_t and over pairs of frames. The former's SAME padding, which
    adds the odd pixel at the end, is (k - 1) // 2 blocks of two pixels before and k // 2 after.
    """
    walk.temporal = True
    convolution = stem.convolution
    (kernel,) = convolution.get_weights()
    time, height, width, channels, filters = kernel.shape
    if (
        convolution.strides != (1, 1, 1)
        or convolution.padding != "same"
        or channels % 8
        or stem.unit.gate is not None
        or len(stem.unit.convolutions) != 1
    ):
        walk.refuse("a space-to-depth stem must be a plain unit with stride 1")
    colours = channels // 8
    frames = frames_after(walk.frames(inputs), 2, 2, "same")
    kernel = np.tensordot(tap_weights(frames, time, 1, "same"), kernel.astype(np.float64), axes=1)
    pixels = kernel.reshape(height, width, 2, 2, 2, colours, filters)
    pixels = pixels.sum(axis=2).transpose(0, 2, 1, 3, 4, 5)
    summed = pixels.reshape(2 * height, 2 * width, colours, filters).astype(np.float32)
    padding = [(2 * ((size - 1) // 2), 2 * (size // 2)) for size in (height, width)]
    policy = convolution.dtype_policy
    x = walk.add(EvenSize(padding, dtype=policy), inputs, part="padding")
    new = layers.Conv2D(
        filters,
        summed.shape[:2],
        strides=2,
        use_bias=False,
        data_format="channels_last",
        dtype=policy,
    )
    x = walk.add(new, x, weights=[summed], frames=frames, part="convolution")
    x = walk(stem.norm, x, activate=False)
    return walk.add(layers.ReLU(dtype=policy), x, part="relu")


@register_rule(TemporalShift)
def _shift(walk: Walk, layer: Any, inputs: Any, num_frames: Any = None) -> Any:
    """Deflate a shift: neighboring frames are equal, so only its channel order remains."""
    channels = inputs.shape[-1]
    shifted = int(channels * layer.fraction)
    if not shifted:
        return inputs
    walk.temporal = True
    order = np.arange(channels)
    order = np.concatenate([order[-shifted:], order[shifted:-shifted], order[:shifted]])
    scale = np.ones(channels)
    frames = walk.frames(inputs)
    if frames is not None:
        scale[:shifted] = scale[-shifted:] = (frames - 1) / frames
    new = ChannelPermutation(order.tolist(), scale.tolist(), dtype=layer.dtype_policy)
    return walk.add(new, inputs)


@register_rule(ResidualBlock)
def _residual_block(walk: Walk, layer: Any, inputs: Any, num_frames: Any = None) -> Any:
    policy = layer.dtype_policy
    x = shortcut = inputs
    for index, (convolution, norm) in enumerate(zip(layer.convolutions, layer.norms, strict=True)):
        x = walk.add(layers.ReLU(dtype=policy), walk(norm, x, activate=False), part=f"relu_{index}")
        if index == 0:
            if layer.shortcut is not None:
                shortcut = walk(layer.shortcut, x)
            if layer.shift is not None:
                x = walk(layer.shift, x)
        x = walk(convolution, x)
    return walk.add(layers.Add(dtype=policy), [x, shortcut], part="sum")


@register_rule(TSMResNet)
def _tsm(walk: Walk, layer: Any, inputs: Any) -> Any:
    x = walk(layer.stem_pool, walk(layer.stem_convolution, inputs))
    for group, blocks in enumerate(layer.groups):
        for index, block in enumerate(blocks):
            x = walk(block, x, name=f"group_{group}_{index}")
    policy = layer.dtype_policy
    x = walk.add(layers.ReLU(dtype=policy), walk(layer.final_norm, x, activate=False), part="relu")
    return walk.add(
        layers.GlobalAveragePooling2D("channels_last", dtype=policy), x, has_time=False, part="mean"
    )


@register_rule(ProjectionHead)
def _projection_head(walk: Walk, layer: Any, inputs: Any) -> Any:
    """Deflate the head's parts one by one, so that its batch norms can be folded."""

    def relu(x: Any, part: str) -> Any:
        return walk.add(layers.ReLU(dtype=layer.dtype_policy), x, part=part)

    x = inputs
    if layer.input_batch_norm is not None:
        x = walk(layer.input_batch_norm, x, activate=False)
    if layer.activation is not None:
        x = relu(x, "input_relu")
    if layer.inner is not None:
        x = walk(layer.inner_batch_norm, walk(layer.inner, x), activate=False)
        x = relu(x, "inner_relu")
    x = walk(layer.projection, x)
    return x if layer.output_batch_norm is None else walk(layer.output_batch_norm, x)
