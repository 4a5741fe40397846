# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation: a video network becomes an image network of the same weights (PAPER section 4).

On a clip whose frames are all the same image, a convolution over time gives, away from the clip's
ends, the image convolved with the filter's sum over time. So every filter is summed over time;
max-pooling over equal frames does nothing; gating's mean loses time; and the temporal shift only
reorders channels. At the clip's ends zero padding spoils the equality: `fit_deflated` mends that.
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

# Of the video network's metadata, what also holds for its image network.
_KEPT_METADATA = ("size", "square_crop", "input_range", "licence", "source", "sha256", "num_frames")


def deflate(model: Any, num_frames: int | None = None) -> ImageEncoder:
    """Build the image encoder of a video network, before any fit.

    Args:
      model: an `EmbeddingGraph`, one of its video backbones, or any Keras network (functional,
        sequential, or of a class with a rule) on clips [B, T, H, W, C]. It is not changed.
      num_frames: None sums filters over time, as the paper does. With T each tap counts by the
        share of a clip's T frames at which it meets a frame and not padding (ours): the mean over
        time of each convolution on a clip of equal frames is then right, where without it the
        clip's ends are left to the fit.

    Returns:
      A Keras model on images float [B, H, W, C]. Of an embedding graph it gives {"before_head":
      [B, d], space: [B, dim], ...}; of another network what that gives. Its weights are copies.

    Raises:
      DeflationError: a `ValueError` that names the layer that can't be deflated, and why; or if
        nothing in the network mixes frames, or it takes images already.
    """
    return walk_network(model, num_frames)[0]


def walk_network(model: Any, num_frames: int | None = None) -> tuple[ImageEncoder, dict[str, Any]]:
    """`deflate`, and which of the original's layers each of the image network's stands for."""
    if isinstance(model, ImageEncoder):
        raise DeflationError("This is an image encoder: it is deflated already.")
    if not isinstance(model, keras.layers.Layer):
        raise DeflationError(f"Got a {type(model).__name__}; expected a Keras network on clips.")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; a clip has one frame or more.")
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
            f"No layer of this {type(model).__name__} mixes frames: it has nothing to deflate. "
            "Call it on clips of one frame."
        )
    metadata = {"deflated_from": type(model).__name__}
    known = getattr(model, "metadata", {})
    metadata |= {key: known[key] for key in _KEPT_METADATA if key in known}
    network = fold_linear(keras.Model(image, outputs, name="image_network"))
    return ImageEncoder(network, metadata), walk.origins


def _image_shape(model: Any) -> tuple[int | None, ...]:
    """[H, W, C] of what a network takes, less time; free sizes for our own, which take any."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return (None, None, 3)
    if not isinstance(shape, tuple) or len(shape) != 5:
        raise DeflationError(
            f"This {type(model).__name__} takes {shape}; only networks on one clip "
            "[B, T, H, W, C] can be deflated."
        )
    return shape[2:]
