# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Merges successive linear layers of an image model without changing its outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from mmv_tf.deflation import winograd
from mmv_tf.deflation.layers import ChannelPermutation
from mmv_tf.layers import BatchNorm
from mmv_tf.util.keras_networks import Graph

NORMS = (BatchNorm, keras.layers.BatchNormalization)
_LINEAR = (keras.layers.Conv2D, keras.layers.Dense)


def fold_linear(network: keras.Model) -> keras.Model:
    """Fold channel orders into the next kernels, and 1x1 convolutions into the previous kernels."""
    return _fold_pairs(_fold_permutations(network), _point_into_kernel, _is_point)


def fold_norms(network: keras.Model) -> keras.Model:
    """Fold inference-mode batch norms into the convolutions and dense layers before them.

    A batch norm after anything else, such as the sum of a residual block, remains.
    """
    return _fold_pairs(network, _norm_into_kernel, lambda layer: isinstance(layer, NORMS))


def speed_up_convolutions(network: keras.Model) -> keras.Model:
    """Replace 3x3 convolutions with `WinogradConvolution` where that is faster."""
    graph = Graph(network)
    found = {
        id(layer)
        for layer in network.operations
        if graph.called_once(layer) and winograd.suits(layer)
    }

    def call(layer: Any, *inputs: Any) -> Any:
        return winograd.of_convolution(layer)(*inputs) if id(layer) in found else None

    return _rewritten(network, graph, call) if found else network


def _fold_pairs(
    network: keras.Model, fold: Callable[..., Any], is_second: Callable[[Any], bool]
) -> keras.Model:
    """Replace a linear layer and the layer after it with one, if it feeds only that layer."""
    graph = Graph(network)
    once, takers = graph.called_once, graph.consumers()
    seconds: dict[int, Any] = {}
    for layer in network.operations:
        after = takers.get(layer.name, [])
        if (
            _is_linear(layer)
            and once(layer)
            and len(after) == 1
            and is_second(after[0])
            and once(after[0])
        ):
            seconds[id(layer)] = after[0]
    # A chain of three is merged from its front, one pair per pass.
    taken: set[int] = set()
    for layer in network.operations:
        if id(layer) in seconds:
            if id(layer) in taken:
                del seconds[id(layer)]
            else:
                taken.add(id(seconds[id(layer)]))
    if not seconds:
        return network
    dropped = {id(second) for second in seconds.values()}

    def call(layer: Any, *inputs: Any) -> Any:
        if id(layer) in dropped:
            return inputs[0]
        if id(layer) in seconds:
            return fold(layer, seconds[id(layer)])(*inputs)
        return None

    return _fold_pairs(_rewritten(network, graph, call), fold, is_second)


def _fold_permutations(network: keras.Model) -> keras.Model:
    graph = Graph(network)
    once, takers = graph.called_once, graph.consumers()
    orders: dict[int, ChannelPermutation] = {}
    dropped: set[int] = set()
    for layer in network.operations:
        if not isinstance(layer, ChannelPermutation) or not once(layer):
            continue
        after = takers.get(layer.name, [])
        if after and all(
            isinstance(x, _LINEAR) and once(x) and getattr(x, "groups", 1) == 1 for x in after
        ):
            dropped.add(id(layer))
            orders |= {id(x): layer for x in after}

    def call(layer: Any, *inputs: Any) -> Any:
        if id(layer) in dropped:
            return inputs[0]
        if id(layer) in orders:
            kernel, *bias = layer.get_weights()
            moved = np.empty_like(kernel)
            permutation = orders[id(layer)]
            scale = np.array(permutation.scale, kernel.dtype)[:, np.newaxis]
            moved[..., permutation.order, :] = kernel * scale
            return _like(layer, [moved, *bias])(*inputs)
        return None

    return _rewritten(network, graph, call) if dropped else network


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, _LINEAR) and layer.activation is keras.activations.linear


def _is_point(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.Conv2D)
        and tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1)
        and layer.groups == 1
    )


def _point_into_kernel(first: Any, point: Any) -> Any:
    kernel, *bias = (weight.astype(np.float64) for weight in first.get_weights())
    mix, *mix_bias = (weight.astype(np.float64) for weight in point.get_weights())
    mix = mix[0, 0]
    joined = [kernel @ mix]
    if bias or mix_bias:
        joined.append(sum((b @ mix for b in bias), 0.0) + sum(mix_bias, np.zeros(mix.shape[1])))
    return _like(
        first,
        joined,
        filters=point.filters,
        use_bias=len(joined) == 2,
        activation=keras.activations.serialize(point.activation),
    )


def _norm_into_kernel(first: Any, norm: Any) -> Any:
    scale, offset = norm_map(norm)
    kernel, *bias = (weight.astype(np.float64) for weight in first.get_weights())
    shifted = sum((b * scale for b in bias), 0.0) + offset
    return _like(first, [kernel * scale, shifted], use_bias=True)


def norm_map(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return (scale, offset), float64 [C], of an inference-mode batch norm."""
    mean = norm.moving_mean.numpy().astype(np.float64)
    variance = norm.moving_variance.numpy().astype(np.float64)
    scale = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * norm.gamma.numpy()
    offset = -mean * scale
    if norm.beta is not None:
        offset = offset + norm.beta.numpy()
    return scale, offset


def _like(layer: Any, weights: list[np.ndarray], **changes: Any) -> Any:
    """Return a new layer with the same name, the given weights and some arguments changed."""
    new = type(layer).from_config({**layer.get_config(), **changes})
    # The first kernel's shape gives the number of input channels.
    lead = (None,) * (3 if isinstance(layer, keras.layers.Conv2D) else 1)
    new.build((*lead, weights[0].shape[-2] * getattr(layer, "groups", 1)))
    new.set_weights([weight.astype(np.float32) for weight in weights])
    return new


def _rewritten(network: keras.Model, graph: Graph, call: Callable[..., Any]) -> keras.Model:
    """Return a new model in which `call(layer, *inputs)` replaces each layer.

    If `call` returns None, the layer is copied: a layer shared by two models would have two inputs
    and outputs.
    """
    copies: dict[int, Any] = {}

    def call_or_copy(layer: Any, *inputs: Any, **arguments: Any) -> Any:
        outputs = call(layer, *inputs)
        if outputs is not None:
            return outputs
        if id(layer) not in copies:
            copies[id(layer)] = copy_layer(layer)
        return copies[id(layer)](*inputs, **arguments)

    image = keras.Input(network.input.shape[1:], dtype=network.input.dtype, name="image")
    return keras.Model(image, graph.replay(image, call_or_copy), name=network.name)


def copy_layer(layer: Any) -> Any:
    """Return a new layer or operation with the same configuration, name and weights."""
    new = type(layer).from_config(layer.get_config())
    if getattr(layer, "weights", None):
        shapes = [tuple(x.shape) for x in keras.tree.flatten(layer.input)]
        new.build(shapes[0] if len(shapes) == 1 else shapes)
        new.set_weights(layer.get_weights())
    return new
