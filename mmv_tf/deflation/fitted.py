# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation in one call: builds the image encoder of a video model and fits it on images."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.deflation.fit import Images, as_array, fit_deflated
from mmv_tf.deflation.image_encoder import ImageEncoder
from mmv_tf.deflation.images import load_images, read_pictures
from mmv_tf.deflation.rewrite import deflate_naively
from mmv_tf.deflation.simplify import NORMS

# Ours: frames of a static clip if neither the call nor the model's metadata specifies a number.
_NUM_FRAMES = 32
# Ours: images to read from a folder; more improve `fit_deflated` little.
_MOST_IMAGES = 256


def deflate(
    model: Any,
    num_frames: int | None = None,
    images: Images | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> ImageEncoder:
    """Build the image encoder of a video model and fit it on images.

    >>> encoder = mmv_tf.deflate(model, images="photos")
    >>> encoder(batch)["before_head"]  # float32 [B, H, W, 3] in [0, 1] -> float32 [B, d]

    The fit needs no labels and changes only the gamma and beta of batch norms; see `fit_deflated`,
    which also measures how closely the image and video models agree.

    Args:
      model: an `EmbeddingGraph`, one of its video backbones, or any Keras model (functional,
        sequential, or of a class with a rule) on clips [B, T, H, W, C]. It is not changed.
      num_frames: a number accounts for the padding at the ends of clips of that length (see
        `deflate_naively`); None ignores it, as the paper does.
      images: 10 or more images to fit on, similar to those to embed: a folder of images or
        TFRecords (at most 256 are drawn), image paths, float [N, H, W, C] in [0, 1], or a dataset
        of such images or batches of them. None returns the encoder unfitted, with a warning: its
        embeddings are far from the video model's.
      size: side in pixels of images that are read from files; by default, the model's training
        size.
      seed: seed for the sampling and the fit.

    Returns:
      A Keras model on float images [B, H, W, C]. For an embedding graph it returns {"before_head":
      [B, d], space: [B, dim], ...}; for any other model, that model's outputs. Its weights are
      copies.

    Raises:
      DeflationError: a layer can't be deflated (the message names it and gives the reason), no
        layer mixes frames, or the model already expects images. It is a `ValueError`.
      ValueError: the images can't be read, are too few or are in an unsupported form, or the size
        is unknown.
    """
    encoder = deflate_naively(model, num_frames)
    if images is None:
        if any(isinstance(layer, NORMS) for layer in encoder.network.operations):
            warnings.warn(
                "This image encoder is not fitted: its embeddings are far from the video "
                "model's. Fit it: deflate(model, images=FOLDER, PATHS or ARRAY), or pass it to "
                "fit_deflated. (deflate_naively returns it without this warning.)",
                stacklevel=2,
            )
        return encoder
    found = _read(images, encoder, size, seed)
    length = num_frames or _training_length(model)
    fit_deflated(model, encoder, found, num_frames=length, seed=seed)
    return encoder


def _training_length(model: Any) -> int:
    """Return the number of frames in a model's training clips, or the default if it is unknown."""
    shape = getattr(model, "input_shape", None)
    fixed = shape[1] if isinstance(shape, tuple) and len(shape) == 5 else None
    known = getattr(model, "metadata", {}).get("num_frames", fixed)
    return _NUM_FRAMES if known is None else int(known)


def _read(images: Any, encoder: ImageEncoder, size: int | None, seed: int) -> np.ndarray:
    """Return images in any supported form as float32 [N, H, W, C]."""
    if isinstance(images, str | os.PathLike):
        side = _side(encoder, size)
        return load_images(pathlib.Path(images), side, _MOST_IMAGES, seed)
    if isinstance(images, list | tuple) and any(isinstance(i, str | os.PathLike) for i in images):
        return read_pictures([pathlib.Path(path) for path in images], _side(encoder, size))
    return as_array(images)


def _side(encoder: ImageEncoder, size: int | None) -> int:
    """Return the side length in pixels for images read from files."""
    if size is not None:
        return size
    known = encoder.metadata.get("size")
    height, width = encoder.network.input.shape[1:3]
    if known is None and height == width:
        known = height
    if known is None:
        raise ValueError("The model does not state its frame size; pass size, in pixels.")
    return int(known)
