# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks and converts the inputs of an embedding graph.

Rank, channels and dtype are always checked, even while a function is being traced. Values (NaN,
range, ids outside the table) are checked in eager calls and, with "always", also in traced
functions, by TensorFlow assertions that load anywhere.

float64 becomes float32, any integer dtype becomes int32, and a log-mel spectrogram without a last
axis gets one. uint8 frames are rejected, because dividing them silently could hide different ranges
in training and evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

MODALITIES = ("video", "audio", "text")
CHECKS = ("eager", "always", "never")
_INPUTS = {
    "video": "float [B, T, H, W, 3] in [0, 1]",
    "audio": "float log-mel [B, frames, mel_bins, 1] or [B, frames, mel_bins]",
    "text": "int word ids [B, words]",
}
# Ours: allows the overshoot of resizing with a bicubic or Lanczos kernel.
_OVERSHOOT = 0.1


def checked_inputs(
    inputs: Any,
    modalities: Sequence[str],
    vocabulary_size: int | None,
    training: bool,
    check: str,
) -> dict[str, tf.Tensor]:
    """Return the inputs as tensors of the ranks and dtypes that the backbones expect.

    Args:
      inputs: the model's inputs.
      modalities: the model's modalities.
      vocabulary_size: number of rows in the word table, or None if unknown.
      training: whether to allow frames outside [0, 1], which augmentation may produce.
      check: when to check values; one of `CHECKS`.

    Raises:
      ValueError: an input is invalid.
    """
    if not isinstance(inputs, Mapping):
        raise ValueError(f"A model expects a dict; got {type(inputs).__name__}.")
    if not inputs:
        raise ValueError(f"A model expects a dict of {tuple(modalities)}; got an empty one.")
    checked = {}
    for modality, value in inputs.items():
        if modality not in modalities:
            raise ValueError(
                f"{modality!r} is not an input of this model; its inputs are {tuple(modalities)}."
            )
        tensor = _checked_form(modality, value)
        if check == "always" or (check == "eager" and tf.executing_eagerly()):
            tensor = _checked_values(modality, tensor, vocabulary_size, training)
        checked[modality] = _converted(tensor)
    return checked


def _checked_form(modality: str, value: Any) -> tf.Tensor:
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{modality} is a {type(value).__name__}; expected {_INPUTS[modality]}."
        ) from error
    if modality == "audio" and tensor.shape.rank == 3:
        tensor = tensor[..., tf.newaxis]
    floating = tensor.dtype.is_floating
    fits = {
        "video": floating and tensor.shape.rank == 5 and tensor.shape[-1] == 3,
        "audio": floating and tensor.shape.rank == 4 and tensor.shape[-1] == 1,
        "text": tensor.dtype.is_integer and tensor.shape.rank == 2,
    }[modality]
    described = f"{modality} is {tensor.dtype.name} {tensor.shape}"
    if not fits:
        raise ValueError(f"{described}; expected {_INPUTS[modality]}.{_hint(modality, tensor)}")
    # Convolutions fail on an empty batch with various errors; text may be empty.
    if 0 in tensor.shape.as_list()[modality == "text" :]:
        raise ValueError(f"{described}, which is empty; expected {_INPUTS[modality]}.")
    return tensor


def _converted(tensor: tf.Tensor) -> tf.Tensor:
    if tensor.dtype.is_integer:
        return tf.cast(tensor, tf.int32)
    return tf.cast(tensor, tf.float32) if tensor.dtype == tf.float64 else tensor


def _hint(modality: str, tensor: tf.Tensor) -> str:
    rank = tensor.shape.rank
    if modality == "video" and tensor.dtype.is_integer:
        return " Divide uint8 frames by 255."
    if modality == "video" and rank == 4:
        return " One clip is a batch of one; an image is a clip of one frame."
    if modality == "audio" and rank == 2:
        return " Convert waveforms with `model.log_mel(waveform)`."
    if modality == "text" and tensor.dtype == tf.string:
        return " Convert sentences with `model.tokenizer(sentences)`."
    return ""


def _checked_values(
    modality: str, tensor: tf.Tensor, vocabulary_size: int | None, training: bool
) -> tf.Tensor:
    if modality == "text":
        if vocabulary_size is None:
            return tensor
        bounds: Any = (0, vocabulary_size - 1)
        what = f"text has word ids outside [0, {vocabulary_size - 1}], the rows of its table"
    else:
        # A sum is finite only if all its terms are, and needs only one pass.
        total = tf.reduce_sum(tf.cast(tensor, tf.float32))
        tensor = _require(
            tensor,
            tf.math.is_finite(total),
            f"{modality} has values that are not finite (NaN or infinity); find them with "
            "np.isfinite",
        )
        if modality == "audio" or training:
            return tensor
        bounds = (-_OVERSHOOT, 1 + _OVERSHOOT)
        what = (
            "video has values outside [0, 1]; divide frames of 0 to 255 by 255, and rescale "
            "normalized frames"
        )
    low, high = (tf.cast(bound, tensor.dtype) for bound in bounds)
    # The minimum of an empty batch is infinite, but nothing is out of range.
    smallest, largest = tf.reduce_min(tensor), tf.reduce_max(tensor)
    inside = (tf.size(tensor) == 0) | ((smallest >= low) & (largest <= high))
    return _require(tensor, inside, what, smallest, largest)


def _require(tensor: tf.Tensor, holds: tf.Tensor, what: str, *seen: tf.Tensor) -> tf.Tensor:
    """Return the tensor if the condition holds; in a traced function, add an assertion."""
    if tf.executing_eagerly():
        if not holds:
            found = f" (found {seen[0]:.6g} to {seen[1]:.6g})" if seen else ""
            raise ValueError(f"{what}{found}.")
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(holds, [f"{what}; found", *seen])]):
        return tf.identity(tensor)
