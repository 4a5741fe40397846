# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Base class for the backbones, and the registry of video backbones."""

from __future__ import annotations

from typing import Any

import keras

from mmv_tf.layers.base import Layer
from mmv_tf.util.registry import Registry


class Backbone(Layer):
    """A layer that maps a modality's input to representations [B, feature_dim].

    Subclasses implement `call(inputs, training=False, valid=None)`, with `valid` as in
    `BatchNorm`, and create all variables in `build`, for any input sizes. `call` may also accept
    `return_endpoints`.

    Attributes:
      feature_dim: size of a representation.
    """

    feature_dim: int

    def named_layers(self) -> dict[str, keras.layers.Layer]:
        """Return the layers that training can freeze by name, in the order of computation.

        The names belong to the architecture: they are the same in every model of the class.
        """
        return {}

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [B, feature_dim]."""
        return (input_shape[0], self.feature_dim)

    def compute_output_spec(self, inputs: Any, **arguments: Any) -> Any:
        """Return the output shape and dtype of `call`, or of each endpoint."""
        if not arguments.get("return_endpoints"):
            return super().compute_output_spec(inputs, **arguments)
        return keras.Operation.compute_output_spec(self, inputs, **arguments)


# Choices for the setting `video.backbone` in a model config.
VIDEO_BACKBONES: Registry[type[Backbone]] = Registry("video.backbone", package="mmv_tf.backbones")
