# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The network that deflation makes: images into the spaces of the video network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("mmv_tf")
class ImageEncoder(keras.Model):
    """float32 images [B, H, W, 3] in [0, 1] -> {"before_head": [B, d], space: [B, dim], ...}.

    Args:
      backbone: a deflated video backbone.
      heads: the video heads, one for each space.
      spaces: names of the spaces, in the heads' order.
      sources: for each head what it takes: "before_head" or an earlier space.
    """

    def __init__(
        self,
        backbone: keras.layers.Layer,
        heads: Sequence[keras.layers.Layer],
        spaces: Sequence[str],
        sources: Sequence[str],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.heads = list(heads)
        self.spaces = tuple(spaces)
        self.sources = tuple(sources)
        if not backbone.built:
            backbone.build(None)
        dims = {"before_head": backbone.feature_dim}
        for space, head, source in zip(self.spaces, self.heads, self.sources, strict=True):
            if not head.built:
                head.build((None, dims[source]))
            dims[space] = head.dim
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """The constructor has done it."""
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """See the class."""
        if inputs.shape.rank != 4 or inputs.shape[-1] != 3 or not inputs.dtype.is_floating:
            raise ValueError(
                f"Images are {inputs.dtype.name} {tuple(inputs.shape)}; expected float "
                "[B, H, W, 3] in [0, 1]."
            )
        values = {"before_head": self.backbone(inputs, training=training)}
        for space, head, source in zip(self.spaces, self.heads, self.sources, strict=True):
            values[space] = head(values[source], training=training)
        return {name: tf.cast(value, tf.float32) for name, value in values.items()}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments; weights are saved apart."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.backbone),
            "heads": [serialize(head) for head in self.heads],
            "spaces": self.spaces,
            "sources": self.sources,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ImageEncoder:
        """The reverse of `get_config`."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["backbone"] = deserialize(config["backbone"], custom_objects=custom_objects)
        config["heads"] = [
            deserialize(head, custom_objects=custom_objects) for head in config["heads"]
        ]
        return cls(**config)


def load_image_model(path: str | os.PathLike[str]) -> ImageEncoder:
    """Reads the `.keras` file of a deflated network.

    Raises:
      ValueError: if the file is not there or holds something else.
    """
    if not os.path.isfile(path):
        raise ValueError(f"There is no deflated network at {path}; make one with binaries.deflate.")
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    if not isinstance(model, ImageEncoder):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a deflated network.")
    return model
