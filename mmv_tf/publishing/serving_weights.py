# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Weights prepared for serving: batch norms folded, kernels in fewer bits."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.layers import BatchNorm, Conv3DUnit, ProjectionHead, ResidualBlock
from mmv_tf.util.keras_networks import all_layers, replaced_calls


class ServingWeights:
    """Variables that replace a model's own while its functions are traced.

    The model itself does not change: within `scope`, its layers see these variables, and folded
    batch norms do only the remaining work.

    Args:
      layers: the built layers that are traced later. They may share weights.
      fold: fold batch norms with their moving statistics. With s = gamma / sqrt(variance +
        epsilon), norm(kernel x + bias) = (s kernel) x + (s (bias - mean) + beta).
      dtype: type to store kernels and tables (two or more axes) in.

    Attributes:
      variables: the variables that the traced functions read, none trainable.
    """

    def __init__(self, layers: Iterable[keras.layers.Layer], fold: bool, dtype: str):
        parts = all_layers(layers)
        values: dict[int, tuple[keras.Variable, np.ndarray]] = {}
        computes: dict[int, str] = {}
        for part in parts:
            for weight in part.variables:
                if keras.backend.is_float_dtype(weight.dtype):
                    if id(weight) not in values:
                        values[id(weight)] = (weight, weight.numpy())
                    # That of the innermost layer, which comes last.
                    computes[id(weight)] = part.compute_dtype
        self._calls: list[tuple[BatchNorm, Callable[..., tf.Tensor]]] = []
        if fold:
            before = dict(_pairs(parts))
            for norm in parts:
                if isinstance(norm, BatchNorm):
                    self._calls.append((norm, _fold(norm, before.get(norm), values)))
        # Rows of a table are looked up before the cast, so that only these rows are cast.
        tables = {id(part.embeddings) for part in parts if isinstance(part, keras.layers.Embedding)}
        self._mapping: list[tuple[keras.Variable, tf.Variable, bool]] = []
        for key, (weight, value) in values.items():
            stored = dtype if value.ndim > 1 else "float32"
            variable = tf.Variable(
                tf.cast(value, stored), trainable=False, name=weight.path.replace("/", "_")
            )
            as_stored = key in tables or stored == computes[key]
            self._mapping.append((weight, variable, as_stored))
        self.variables = [variable for _, variable, _ in self._mapping]

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within the block, make the model compute with these variables, for inference."""
        scope = keras.StatelessScope()
        for weight, variable, as_stored in self._mapping:
            # Not as the scope's argument, which would be cast to the weight's own type.
            value = variable.read_value() if as_stored else tf.cast(variable, weight.dtype)
            scope.add_update((weight, value))
        with replaced_calls(self._calls), scope:
            yield


def _pairs(parts: Iterable[keras.layers.Layer]) -> Iterator[tuple[BatchNorm, keras.layers.Layer]]:
    """Yield each batch norm that directly follows a convolution or linear map, with that layer."""
    for part in parts:
        if isinstance(part, Conv3DUnit):
            yield from zip(part.norms, part.convolutions, strict=True)
        elif isinstance(part, ResidualBlock):
            # Pre-activation: the first norm follows an addition, each other a convolution.
            yield from zip(part.norms[1:], part.convolutions[:-1], strict=True)
        elif isinstance(part, ProjectionHead):
            if part.inner is not None and part.inner_batch_norm is not None:
                yield part.inner_batch_norm, part.inner
            if part.output_batch_norm is not None:
                yield part.output_batch_norm, part.projection


def _fold(
    norm: BatchNorm,
    before: keras.layers.Layer | None,
    values: dict[int, tuple[keras.Variable, np.ndarray]],
) -> Callable[..., tf.Tensor]:
    """Change `values` so that the returned function can replace the call of `norm`."""

    def take(weight: keras.Variable) -> np.ndarray:
        return values[id(weight)][1].astype(np.float64)

    def put(weight: keras.Variable, value: np.ndarray) -> None:
        values[id(weight)] = (weight, value.astype(np.float32))

    scale = take(norm.gamma) / np.sqrt(take(norm.moving_variance) + norm.epsilon)
    shift = take(norm.beta) - scale * take(norm.moving_mean)
    del values[id(norm.moving_mean)], values[id(norm.moving_variance)]
    if before is None:
        put(norm.gamma, scale)
        put(norm.beta, shift)
        return functools.partial(_scale_and_shift, norm)
    del values[id(norm.gamma)]
    put(before.kernel, take(before.kernel) * scale)
    if not before.use_bias:
        put(norm.beta, shift)
        return functools.partial(_shift, norm)
    del values[id(norm.beta)]
    put(before.bias, take(before.bias) * scale + shift)
    return functools.partial(_finish, norm)


def _scale_and_shift(norm: BatchNorm, inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
    scale, shift = (tf.convert_to_tensor(weight) for weight in (norm.gamma, norm.beta))
    outputs = inputs * tf.cast(scale, inputs.dtype) + tf.cast(shift, inputs.dtype)
    return _finish(norm, outputs, **kwargs)


def _shift(norm: BatchNorm, inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
    # TensorFlow fuses this with the convolution before it.
    outputs = tf.nn.bias_add(inputs, tf.cast(tf.convert_to_tensor(norm.beta), inputs.dtype))
    return _finish(norm, outputs, **kwargs)


def _finish(
    norm: BatchNorm, outputs: tf.Tensor, training: bool = False, valid: Any = None
) -> tf.Tensor:
    """Do the remaining work of `BatchNorm.call`."""
    del valid
    if training:
        raise ValueError("A model with folded batch norms can't be trained; export it unfolded.")
    return norm.activate(outputs)
