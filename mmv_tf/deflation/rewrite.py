# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation: a video network becomes an image network of the same weights (PAPER section 4).

On a clip whose frames are all the same image, a convolution over time gives, away from the clip's
ends, the image convolved with the filter's sum over time. So every filter is summed over time;
max-pooling over equal frames does nothing; gating's mean loses time; and the temporal shift only
reorders channels. At the clip's ends zero padding spoils the equality: `fit_deflated` mends that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from mmv_tf.backbones import S3D, TSMResNet
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph


def deflate(model: EmbeddingGraph) -> ImageEncoder:
    """Builds the image encoder of a video network, before any fit.

    Args:
      model: a network with a video tower. It is not changed.

    Returns:
      A Keras model; its weights are copies.

    Raises:
      ValueError: if the video tower is of a class that no rule is known for, or has no temporal
        layers left.
    """
    rules: dict[type, Callable[[Any], Any]] = {S3D: _deflate_s3d, TSMResNet: _deflate_tsm}
    backbone = getattr(model, "video", None)
    rule = rules.get(type(backbone))
    if rule is None:
        raise ValueError(
            f"Can't deflate a {type(model).__name__} with a video tower of class "
            f"{type(backbone).__name__}; known are {[known.__name__ for known in rules]}."
        )
    chain = model.chain("video")
    heads = [head.__class__.from_config(head.get_config()) for _, head, _ in chain]
    encoder = ImageEncoder(
        backbone=rule(backbone),
        heads=heads,
        spaces=[space for space, _, _ in chain],
        sources=[source for _, _, source in chain],
        name="image_encoder",
        dtype=model.dtype_policy,
    )
    for new, (_, old, _) in zip(encoder.heads, chain, strict=True):
        new.set_weights(old.get_weights())
    return encoder


def _deflate_s3d(video: S3D) -> S3D:
    if video.deflated:
        raise ValueError("This S3D is deflated already.")
    image = S3D.from_config({**video.get_config(), "deflated": True})
    image.build(None)
    for old, new in zip(leaves(video), leaves(image), strict=True):
        weights = old.get_weights()
        if isinstance(old, keras.layers.Conv3D):
            weights[0] = _sum_over_time(weights[0], new.kernel.shape)
        new.set_weights(weights)
    return image


def _sum_over_time(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[t, h, w, in, out] -> [h, w, in, out]; space-to-depth's frame pairs are summed too."""
    summed = kernel.sum(axis=0)
    if summed.shape == shape:
        return summed
    # The stem over 2x2x2 pixels: its input channels are (time, height, width, colour).
    height, width, channels, filters = summed.shape
    pairs = summed.reshape(height, width, 2, channels // 2, filters)
    return pairs.sum(axis=2)


def _deflate_tsm(video: TSMResNet) -> TSMResNet:
    if not video.shift_fraction:
        raise ValueError("This TSM-ResNet shifts no channels; it has nothing to deflate.")
    image = TSMResNet.from_config({**video.get_config(), "shift_fraction": 0.0})
    image.build(None)
    for old, new in zip(leaves(video), leaves(image), strict=True):
        new.set_weights(old.get_weights())
    for blocks in image.groups:
        for block in blocks:
            _undo_channel_order(block.convolutions[0], video.shift_fraction)
    return image


def _undo_channel_order(convolution: keras.layers.Conv2D, fraction: float) -> None:
    """Folds the shift's channel order, [last n | middle | first n], into the next kernel."""
    kernel = convolution.kernel.numpy()
    channels = kernel.shape[2]
    shifted = int(channels * fraction)
    if not shifted:
        return
    order = np.arange(channels)
    order = np.concatenate([order[-shifted:], order[shifted:-shifted], order[:shifted]])
    unshifted = np.empty_like(kernel)
    unshifted[:, :, order] = kernel
    convolution.kernel.assign(unshifted)


def leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The innermost layers that hold weights, in the order of their making."""
    for inner in layer._flatten_layers(include_self=False):
        if inner.weights and not any(
            child.weights for child in inner._flatten_layers(include_self=False)
        ):
            yield inner
