# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflated model: embeds images in the spaces of the video model."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mmv_tf.deflation.simplify import fold_norms, speed_up_convolutions
from mmv_tf.graphs.metadata import checked_metadata
from mmv_tf.layers.base import with_dtype
from mmv_tf.util.keras_files import load_keras_file


@keras.saving.register_keras_serializable("mmv_tf")
class ImageEncoder(keras.Model):
    """Maps float images [B, H, W, C] (RGB in [0, 1] for MMV) to the video model's outputs.

    For an embedding graph, the outputs are {"before_head": [B, d], space: [B, dim], ...}, all
    float32.

    Args:
      network: a functional Keras network with one input; built by `mmv_tf.deflate`.
      metadata: plain values to save with the model: source, license, ...
    """

    def __init__(
        self, network: keras.Model, metadata: Mapping[str, Any] | None = None, **kwargs: Any
    ):
        super().__init__(**with_dtype(kwargs))
        self.network = network
        self.metadata = checked_metadata(metadata)
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the constructor builds the model."""
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> Any:
        """Apply the model. `training` has no effect: batch norms keep their statistics.

        Raises:
          ValueError: the inputs are not float images of the expected rank and channels.
        """
        inputs = tf.convert_to_tensor(inputs)
        expected = self.network.input.shape
        channels = expected[-1]
        if inputs.shape.rank != 4 or inputs.shape[-1] != channels or not inputs.dtype.is_floating:
            hint = " Divide uint8 images by 255." if inputs.dtype.is_integer else ""
            raise ValueError(
                f"Images are {inputs.dtype.name} {tuple(inputs.shape)}; expected float "
                f"[B, H, W, {channels}] in [0, 1].{hint}"
            )
        outputs = self.network(inputs, training=False)
        return keras.tree.map_structure(lambda value: tf.cast(value, tf.float32), outputs)

    def features(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the representation [B, d]: "before_head", or the only output."""
        return main_output(self(inputs))

    def folded(self, winograd: bool = True) -> ImageEncoder:
        """Return a new encoder for inference, with batch norms folded into the layers before them.

        Outputs are equal up to rounding, with fewer operations. The new encoder can't be fitted.

        Args:
          winograd: use `WinogradConvolution` for some 3x3 convolutions. Faster on CPUs; disable it
            for GPUs and other runtimes, which have such methods built in.
        """
        network = fold_norms(self.network)
        if winograd:
            network = speed_up_convolutions(network)
        return ImageEncoder(network, {**self.metadata, "folded": True})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; weights are saved separately."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "metadata": self.metadata}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ImageEncoder:
        """Create an encoder from the result of `get_config`."""
        config = dict(config)
        config["network"] = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**config)


def main_output(outputs: Any) -> tf.Tensor:
    """Return the representation from a model's outputs.

    Raises:
      ValueError: there are several outputs and none is called "before_head".
    """
    if isinstance(outputs, Mapping) and "before_head" in outputs:
        return outputs["before_head"]
    flat = keras.tree.flatten(outputs)
    if len(flat) != 1:
        raise ValueError(
            f"The model has {len(flat)} outputs, none of them called 'before_head'; the fit needs "
            "one output. Build a network with only the output to fit."
        )
    return flat[0]


def load_image_model(path: str | os.PathLike[str]) -> ImageEncoder:
    """Read a deflated model's `.keras` file.

    Raises:
      ValueError: the file does not exist or holds a different kind of model.
    """
    if not os.path.isfile(path):
        raise ValueError(f"There is no deflated network at {path}; create one with mmv deflate.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is not a .keras file, or is truncated; create one with mmv deflate."
        )
    model = load_keras_file(path)
    if not isinstance(model, ImageEncoder):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a deflated network.")
    return model
