# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What an embedding graph takes, and the errors that say so.

Rank, channels and dtype are checked always: they are known while a function is traced, so a wrong
one never gets into a SavedModel. Values (NaN, range, ids beyond the table) are checked where they
can be read at once, in eager calls, and inside traced functions when `always` is asked for: a few
TensorFlow assertions that load anywhere.

Conversions: float64 becomes float32; any integer dtype becomes int32 ids; a log-mel without its
last axis gets it. uint8 frames are refused, for a silent division would hide that training and
evaluation had different ranges.
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
# Ours: how far resizing with a bicubic or Lanczos kernel overshoots the range of its input.
_OVERSHOOT = 0.1


def checked_inputs(
    inputs: Any,
    modalities: Sequence[str],
    vocabulary_size: int | None,
    training: bool,
    check: str,
) -> dict[str, tf.Tensor]:
    """The inputs as tensors of the ranks and dtypes that the towers take.

    Args:
      inputs: what the network was called with.
      modalities: those that it has.
      vocabulary_size: rows of the word table, or None.
      training: frames may then leave [0, 1] (augmentation may).
      check: one of `CHECKS`: when values are looked at.

    Raises:
      ValueError: for an input that is not what is expected, with a hint what to do.
    """
    if not isinstance(inputs, Mapping):
        raise ValueError(f"A network is called with a dict, got {type(inputs).__name__}.")
    if not inputs:
        raise ValueError(
            f"A network is called with a dict of {tuple(modalities)}, got one without entries."
        )
    checked = {}
    for modality, value in inputs.items():
        if modality not in modalities:
            raise ValueError(
                f"{modality!r} is not an input of this network; it takes {tuple(modalities)}."
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
    # Convolutions fail on a batch without rows, each in its own way; sentences may be none.
    if 0 in tensor.shape.as_list()[modality == "text" :]:
        raise ValueError(f"{described}: nothing in it; expected {_INPUTS[modality]}.")
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
        return " One clip is a batch of one, an image a clip of one frame."
    if modality == "audio" and rank == 2:
        return " Waveforms become log-mel with `model.log_mel(waveform)`."
    if modality == "text" and tensor.dtype == tf.string:
        return " Sentences become ids with `model.tokenizer(sentences)`."
    return ""


def _checked_values(
    modality: str, tensor: tf.Tensor, vocabulary_size: int | None, training: bool
) -> tf.Tensor:
    if modality == "text":
        if vocabulary_size is None:
            return tensor
        bounds: Any = (0, vocabulary_size - 1)
        what = f"text holds word ids outside [0, {vocabulary_size - 1}], the rows of its table"
    else:
        # A sum is not finite as soon as one of its terms is not, and takes one pass.
        total = tf.reduce_sum(tf.cast(tensor, tf.float32))
        tensor = _require(
            tensor,
            tf.math.is_finite(total),
            f"{modality} holds values that are not finite (NaN or infinity); look for them with "
            "np.isfinite",
        )
        if modality == "audio" or training:
            return tensor
        bounds = (-_OVERSHOOT, 1 + _OVERSHOOT)
        what = (
            "video holds values outside [0, 1]; divide frames of 0 to 255 by 255, and rescale "
            "normalised ones"
        )
    low, high = (tf.cast(bound, tensor.dtype) for bound in bounds)
    # Of a batch without rows the minimum is infinite, and nothing is out of bounds.
    smallest, largest = tf.reduce_min(tensor), tf.reduce_max(tensor)
    inside = (tf.size(tensor) == 0) | ((smallest >= low) & (largest <= high))
    return _require(tensor, inside, what, smallest, largest)


def _require(tensor: tf.Tensor, holds: tf.Tensor, what: str, *seen: tf.Tensor) -> tf.Tensor:
    """The tensor, behind the condition: an error now, or an assertion in a traced function."""
    if tf.executing_eagerly():
        if not holds:
            found = f" (found {seen[0]:.6g} to {seen[1]:.6g})" if seen else ""
            raise ValueError(f"{what}{found}.")
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(holds, [f"{what}; found", *seen])]):
        return tf.identity(tensor)
