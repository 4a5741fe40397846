# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rules for Keras' own layers, models and operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from mmv_tf.deflation.registry import Walk, frames_after, register_rule, tap_weights
from mmv_tf.layers import MaxPool
from mmv_tf.util.keras_networks import Graph

# Layers that treat every position and frame alike, or do nothing at inference.
_POINTWISE = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.Identity,
    layers.Rescaling,
    layers.Dense,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)
_SKIPPED = (
    layers.Dropout,
    layers.SpatialDropout3D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.ActivityRegularization,
)
_BY_FRAME = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.ZeroPadding2D,
)
# Operations of functional models (x + y, keras.ops.relu(x)), by class name.
_POINTWISE_OPERATIONS = {
    "Absolute",
    "Add",
    "Divide",
    "Elu",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Maximum",
    "Minimum",
    "Multiply",
    "Negative",
    "Relu",
    "Relu6",
    "Rsqrt",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Sqrt",
    "Square",
    "Subtract",
    "Tanh",
    "TrueDivide",
}
# For several equal frames, each of these returns the frame.
_MEANS = {"Mean": keras.ops.mean, "Max": keras.ops.max, "Min": keras.ops.min}


@register_rule(keras.Model)
def _model(walk: Walk, model: Any, *inputs: Any) -> Any:
    if isinstance(model, keras.Sequential):
        (x,) = inputs
        for layer in model.layers:
            x = walk(layer, x, name=layer.name)
        return x
    try:
        graph = Graph(model)
    except ValueError:
        walk.refuse(
            "it is a subclassed network, whose call can't be inspected; register a rule that calls "
            "`walk` on its layers in the same order"
        )
    return graph.replay(inputs, walk)


@register_rule(*_POINTWISE)
def _pointwise(walk: Walk, layer: Any, *inputs: Any) -> Any:
    _same_kind(walk, inputs)
    return walk.copy(*inputs)


@register_rule(*_BY_FRAME)
def _by_frame(walk: Walk, layer: Any, inputs: Any) -> Any:
    """Apply a 2-D layer to the image: it treats frames as a batch of images, and one is enough."""
    return walk.copy(inputs)


@register_rule(*_SKIPPED)
def _skipped(walk: Walk, layer: Any, inputs: Any) -> Any:
    return inputs


@register_rule(layers.BatchNormalization, layers.LayerNormalization, layers.Normalization)
def _channel_axis(walk: Walk, layer: Any, inputs: Any) -> Any:
    axis = layer.axis
    for one in axis if isinstance(axis, list | tuple) else [axis]:
        if one not in (-1, len(inputs.shape) - (0 if walk.has_time(inputs) else 1)):
            walk.refuse(f"it normalizes over axis {axis}; only the last one is supported")
    return walk.copy(inputs, axis=[-1] if isinstance(axis, list | tuple) else -1)


@register_rule(layers.Concatenate)
def _concatenate(walk: Walk, layer: Any, inputs: Sequence[Any]) -> Any:
    _same_kind(walk, inputs)
    return walk.copy(inputs, axis=_moved_axis(walk, layer.axis, inputs[0]))


@register_rule(layers.Conv3D)
def _convolution(walk: Walk, layer: Any, inputs: Any) -> Any:
    if layer.padding not in ("same", "valid"):
        walk.refuse(f"padding {layer.padding!r} is not supported")
    _channels_last(walk, layer)
    time, *size = layer.kernel_size
    walk.temporal |= time > 1
    new = layers.Conv2D(
        layer.filters,
        size,
        strides=layer.strides[1:],
        dilation_rate=layer.dilation_rate[1:],
        groups=layer.groups,
        padding=layer.padding,
        data_format="channels_last",
        activation=layer.activation,
        use_bias=layer.use_bias,
        dtype=layer.dtype_policy,
    )
    kernel, *bias = layer.get_weights()
    span = layer.dilation_rate[0] * (time - 1) + 1
    over_time = (span, layer.strides[0], layer.padding)
    taps = tap_weights(walk.frames(inputs), *over_time)[:: layer.dilation_rate[0]]
    # In float64, so that the order of summation loses no digits.
    summed = np.tensordot(taps, kernel.astype(np.float64), axes=1).astype(kernel.dtype)
    frames = frames_after(walk.frames(inputs), *over_time)
    return walk.add(new, inputs, weights=[summed, *bias], frames=frames)


@register_rule(layers.MaxPooling3D, layers.AveragePooling3D)
def _pooling(walk: Walk, layer: Any, inputs: Any) -> Any:
    _channels_last(walk, layer)
    walk.temporal |= layer.pool_size[0] > 1
    flat = (
        layers.MaxPooling2D if isinstance(layer, layers.MaxPooling3D) else layers.AveragePooling2D
    )
    frames = frames_after(walk.frames(inputs), layer.pool_size[0], layer.strides[0], layer.padding)
    x, padding = inputs, layer.padding
    if isinstance(layer, MaxPool) and layer.zeros_after:
        ends = [(0, size - 1) for size in layer.pool_size[1:]]
        padded = layers.ZeroPadding2D(ends, "channels_last", dtype=layer.dtype_policy)
        x, padding = walk.add(padded, x, part="padding"), "valid"
    new = flat(
        layer.pool_size[1:],
        layer.strides[1:],
        padding,
        "channels_last",
        dtype=layer.dtype_policy,
    )
    return walk.add(new, x, frames=frames)


@register_rule(layers.GlobalAveragePooling3D, layers.GlobalMaxPooling3D)
def _global_pooling(walk: Walk, layer: Any, inputs: Any) -> Any:
    _channels_last(walk, layer)
    mean = isinstance(layer, layers.GlobalAveragePooling3D)
    flat = layers.GlobalAveragePooling2D if mean else layers.GlobalMaxPooling2D
    new = flat("channels_last", keepdims=layer.keepdims, dtype=layer.dtype_policy)
    return walk.add(new, inputs, has_time=bool(layer.keepdims))


@register_rule(layers.ZeroPadding3D)
def _zero_padding(walk: Walk, layer: Any, inputs: Any) -> Any:
    _channels_last(walk, layer)
    return walk.add(
        layers.ZeroPadding2D(layer.padding[1:], "channels_last", dtype=layer.dtype_policy), inputs
    )


@register_rule(layers.Cropping3D)
def _cropping(walk: Walk, layer: Any, inputs: Any) -> Any:
    _channels_last(walk, layer)
    return walk.add(
        layers.Cropping2D(layer.cropping[1:], "channels_last", dtype=layer.dtype_policy), inputs
    )


@register_rule(layers.UpSampling3D)
def _up_sampling(walk: Walk, layer: Any, inputs: Any) -> Any:
    _channels_last(walk, layer)
    return walk.add(
        layers.UpSampling2D(layer.size[1:], "channels_last", dtype=layer.dtype_policy), inputs
    )


@register_rule(layers.TimeDistributed)
def _time_distributed(walk: Walk, layer: Any, inputs: Any) -> Any:
    """Apply to the image the layer that the original applies to each frame."""
    inner = layer.layer
    config = {key: value for key, value in inner.get_config().items() if key != "name"}
    new = type(inner).from_config(config)
    if inner.weights:
        new.build(tuple(inputs.shape))
    outputs = walk.add(new, inputs, weights=inner.get_weights() if inner.weights else None)
    return outputs


@register_rule(layers.Reshape)
def _reshape(walk: Walk, layer: Any, inputs: Any) -> Any:
    shape = tuple(layer.target_shape)
    if not walk.has_time(inputs):
        if shape[:3] == (1, 1, 1) and len(shape) == 4:
            # Back to a map of one position, as in squeeze-and-excite.
            new = layers.Reshape(shape[1:], dtype=layer.dtype_policy)
            return walk.add(new, inputs, has_time=True)
        return walk.copy(inputs, has_time=False)
    walk.refuse("it reshapes frames; apply global pooling before it")


@register_rule(layers.Flatten)
def _flatten(walk: Walk, layer: Any, inputs: Any) -> Any:
    if walk.has_time(inputs):
        walk.refuse(
            "it flattens all frames, so later layers have separate weights for each frame; only "
            "networks that pool over time can be deflated"
        )
    return walk.copy(inputs, has_time=False)


@register_rule(keras.Operation)
def _operation(walk: Walk, operation: Any, *inputs: Any, **arguments: Any) -> Any:
    """Deflate a functional model's operation that is not a layer."""
    kind = type(operation).__name__
    tensors = [x for x in inputs if isinstance(x, keras.KerasTensor)]
    if all(not walk.has_time(x) for x in tensors):
        return walk.mark(_again(operation)(*inputs, **arguments), has_time=False)
    if kind in _POINTWISE_OPERATIONS:
        _same_kind(walk, tensors)
        return walk.mark(_again(operation)(*inputs, **arguments), has_time=True)
    if kind in _MEANS and operation.axis is not None and len(inputs) == 1:
        rank = len(tensors[0].shape) + 1
        axes = operation.axis if isinstance(operation.axis, list | tuple) else [operation.axis]
        axes = sorted(axis % rank for axis in axes)
        keepdims = operation.keepdims
        if 1 not in axes or 0 in axes:
            walk.refuse(f"it reduces axes {axes}; they must include 1 (time) and exclude 0 (batch)")
        rest = tuple(axis - 1 for axis in axes if axis != 1)
        outputs = _MEANS[kind](tensors[0], axis=rest, keepdims=keepdims) if rest else tensors[0]
        return walk.mark(outputs, has_time=keepdims)
    walk.refuse("no rule is known for this operation; wrap it in a layer with a rule of its own")


def _again(operation: Any) -> Any:
    """Return a copy of the operation, so that the user's model does not change."""
    return type(operation).from_config(operation.get_config())


def _channels_last(walk: Walk, layer: Any) -> None:
    if layer.data_format != "channels_last":
        walk.refuse("its data_format is channels_first; only channels_last is supported")


def _same_kind(walk: Walk, inputs: Any) -> None:
    """Refuse to join frames with whole-clip values that have no time axis."""
    timed = {walk.has_time(x) for x in keras.tree.flatten(inputs) if hasattr(x, "shape")}
    if len(timed) > 1:
        walk.refuse("it joins frames with a tensor without a time axis; reshape that first")


def _moved_axis(walk: Walk, axis: int, tensor: Any) -> int:
    """Return the axis of the image's tensor that corresponds to the video's."""
    if not walk.has_time(tensor):
        return axis
    rank = len(tensor.shape) + 1
    positive = axis % rank
    if positive == 1:
        walk.refuse("it joins tensors along time")
    return positive - 1 if positive else 0
