# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Projection from a representation into an embedding space."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from mmv_tf.layers.base import Layer, check_sizes
from mmv_tf.layers.batch_norm import BatchNorm

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("mmv_tf")
class ProjectionHead(Layer):
    """A linear map, or a perceptron with one hidden layer, into a space.

    The heads of the released fine-and-coarse model (deepmind/deepmind-research, mmv/config.py) are
    video -> va `ProjectionHead(512, hidden=512, output_norm=True)`;
    va -> vat `ProjectionHead(256, activation="relu", output_norm=True)`; audio -> va
    `ProjectionHead(512)`; text -> vat `ProjectionHead(256)`.

    Args:
      dim: size of the space.
      hidden: width of the hidden layer (Linear -> batch norm -> ReLU), or None for no hidden layer.
      activation: activation of the input: None, "relu" or "bnrelu" (batch norm, then ReLU), for the
        variants `fac`, `fac_relu` and `fac_bnrelu` of the coarse map.
      output_norm: whether to end with a batch norm. After a hidden layer, the last linear map then
        has no bias.
    """

    def __init__(
        self,
        dim: int,
        hidden: int | None = None,
        activation: str | None = None,
        output_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if activation not in (None, "relu", "bnrelu"):
            raise ValueError(f"activation is {activation!r}; use None, 'relu' or 'bnrelu'.")
        check_sizes(dim=dim, hidden=1 if hidden is None else hidden)
        self.dim = dim
        self.hidden = hidden
        self.activation = activation
        self.output_norm = output_norm

        def norm(wanted: bool, activation: str | None = None) -> BatchNorm | None:
            return BatchNorm(activation=activation, dtype=self.dtype_policy) if wanted else None

        self.input_batch_norm = norm(activation == "bnrelu", "relu")
        self.inner = keras.layers.Dense(hidden, dtype=self.dtype_policy) if hidden else None
        self.inner_batch_norm = norm(hidden is not None, "relu")
        self.projection = keras.layers.Dense(
            dim, use_bias=not (output_norm and hidden), dtype=self.dtype_policy
        )
        self.output_batch_norm = norm(output_norm)

    def build(self, input_shape: Shape) -> None:
        """Create the variables."""
        shape: Shape = (None, input_shape[-1])
        if self.input_batch_norm is not None:
            self.input_batch_norm.build(shape)
        if self.inner is not None and self.inner_batch_norm is not None:
            self.inner.build(shape)
            shape = (None, self.hidden)
            self.inner_batch_norm.build(shape)
        self.projection.build(shape)
        if self.output_batch_norm is not None:
            self.output_batch_norm.build((None, self.dim))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False, valid: Any = None) -> tf.Tensor:
        """Project [B, d] to [B, dim], not normalized; see `BatchNorm` for `valid`."""
        mode: dict[str, Any] = {"training": training, "valid": valid}
        x = inputs
        if self.input_batch_norm is not None:
            x = self.input_batch_norm(x, **mode)
        elif self.activation is not None:
            x = tf.nn.relu(x)
        if self.inner is not None and self.inner_batch_norm is not None:
            x = self.inner_batch_norm(self.inner(x), **mode)
        x = self.projection(x)
        if self.output_batch_norm is not None:
            x = self.output_batch_norm(x, **mode)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return [B, dim]."""
        return (*input_shape[:-1], self.dim)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "hidden": self.hidden,
            "activation": self.activation,
            "output_norm": self.output_norm,
        }
