# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The base of all backbones, and the registry of those for video."""

from __future__ import annotations

from typing import Any

import keras

from mmv_tf.layers.base import Layer
from mmv_tf.util.registry import Registry


class Backbone(Layer):
    """A layer that maps a modality's input to representations [B, feature_dim].

    Subclasses implement `call(inputs, training=False, valid=None)`, where `valid` is as in
    `BatchNorm`, and create all weights in `build`, whatever sizes they are given. `call` may take
    `return_endpoints` too.

    Attributes:
      feature_dim: d, the size of a representation.
    """

    feature_dim: int

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[B, d]."""
        return (input_shape[0], self.feature_dim)

    def compute_output_spec(self, inputs: Any, **arguments: Any) -> Any:
        """Return the shape and dtype of `call`'s result, of each endpoint if it returns these."""
        if not arguments.get("return_endpoints"):
            return super().compute_output_spec(inputs, **arguments)
        return keras.Operation.compute_output_spec(self, inputs, **arguments)


# The backbones that the entry `video.backbone` of a model config chooses among.
VIDEO_BACKBONES: Registry[type[Backbone]] = Registry("video.backbone", package="mmv_tf.backbones")
