# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation: converts a video model to an image model (MMV, Alayrac et al., 2020).

On a clip whose frames all show one image, and away from the clip's ends, a convolution over time
equals the image convolved with the filter's sum over time. So every filter is summed over time;
max pooling over equal frames does nothing; gating averages over space alone; and the temporal shift
only reorders channels. Zero padding at the clip's ends breaks the equality, which `fit_deflated`
compensates.
"""

from __future__ import annotations

from typing import Any

import keras

# The rules register themselves.
import mmv_tf.deflation.keras_rules
import mmv_tf.deflation.mmv_rules  # noqa: F401
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.registry import DeflationError, Walk
from mmv_tf.deflation.simplify import fold_linear
from mmv_tf.graphs import EmbeddingGraph

# Metadata of the video model that also applies to its image model.
_KEPT_METADATA = ("size", "square_crop", "input_range", "licence", "source", "sha256", "num_frames")


def deflate_naively(model: Any, num_frames: int | None = None) -> ImageEncoder:
    """Build the image encoder of a video model without fitting it: the start of `fit_deflated`.

    Args:
      model: an `EmbeddingGraph`, one of its video backbones, or any Keras model (functional,
        sequential, or of a class with a rule) on clips [B, T, H, W, C]. It is not changed.
      num_frames: None sums filters over time, as the paper does. A number T weights each tap by the
        fraction of a clip's T frames at which it reads a frame rather than padding (ours). The mean
        over time of each convolution on a clip of equal frames is then exact; without the weights,
        the fit has to compensate for the clip's ends.

    Returns:
      A Keras model on float images [B, H, W, C]. For an embedding graph it returns {"before_head":
      [B, d], space: [B, dim], ...}; for any other model, that model's outputs. Its weights are
      copies.

    Raises:
      DeflationError: a layer can't be deflated (the message names it and gives the reason), no
        layer mixes frames, or the model already expects images. It is a `ValueError`.
    """
    return walk_network(model, num_frames)[0]


def walk_network(model: Any, num_frames: int | None = None) -> tuple[ImageEncoder, dict[str, Any]]:
    """Deflate, and map each layer of the image model to the original's layer that it replaces."""
    if isinstance(model, ImageEncoder):
        raise DeflationError("This is an image encoder: it is already deflated.")
    if not isinstance(model, keras.layers.Layer):
        raise DeflationError(f"Got a {type(model).__name__}; expected a Keras network for clips.")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; expected 1 or more.")
    walk = Walk(num_frames)
    image = keras.Input(_image_shape(model), dtype="float32", name="image")
    outputs: Any
    if isinstance(model, EmbeddingGraph):
        outputs = {"before_head": walk(model.video, image, name="video")}
        for space, head, source in model.chain("video"):
            outputs[space] = walk(head, outputs[source], name=space)
    else:
        outputs = walk(model, image, name="")
    if not walk.temporal:
        raise DeflationError(
            f"No layer of this {type(model).__name__} mixes frames: there is nothing to deflate. "
            "Call it on clips of one frame."
        )
    metadata = {"deflated_from": type(model).__name__}
    known = getattr(model, "metadata", {})
    metadata |= {key: known[key] for key in _KEPT_METADATA if key in known}
    network = fold_linear(keras.Model(image, outputs, name="image_network"))
    return ImageEncoder(network, metadata), walk.origins


def _image_shape(model: Any) -> tuple[int | None, ...]:
    """Return [H, W, C] of a model's input without time; sizes are free for mmv_tf models."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return (None, None, 3)
    if not isinstance(shape, tuple) or len(shape) != 5:
        raise DeflationError(
            f"This {type(model).__name__} expects {shape}; only networks whose input is one clip "
            "[B, T, H, W, C] can be deflated."
        )
    return shape[2:]
