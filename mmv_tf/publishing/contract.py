# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Input contract: the inputs and outputs of each signature, in a machine-readable file."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf

from mmv_tf.graphs.metadata import checked_metadata
from mmv_tf.publishing import checks
from mmv_tf.publishing.saved_model import INPUTS, MAX_PIXELS
from mmv_tf.util.files import read_regular
from mmv_tf.util.safe_files import NUMBER, Count, Positive, check_form, parse_json

# In the SavedModel, where TensorFlow Serving also expects files beside the graph.
CONTRACT_FILE = "assets.extra/input_contract.json"
_SIDE = checks.MIN_SIDE
_LIMITS: dict[str, dict[str, Any]] = {
    "video": {"minimum": 0.0, "maximum": 1.0, "least_shape": [1, 1, _SIDE, _SIDE, 3]},
    "image": {"minimum": 0.0, "maximum": 1.0, "least_shape": [1, _SIDE, _SIDE, 3]},
    "audio": {"minimum": -1.0, "maximum": 1.0, "least_shape": [1, 1]},
    "text": {"least_shape": [1], "least_bytes": 1, "most_bytes": checks.MAX_TEXT_BYTES},
    "video_jpeg": {"least_shape": [1, 1], "encoding": "jpeg"},
}
_MEANING = {
    "video": "RGB frames [B, T, H, W, 3] in [0, 1]",
    "image": "RGB images [B, H, W, 3] in [0, 1]",
    "audio": "mono waveforms [B, samples] in [-1, 1]",
    "text": "whole sentences [B]",
    "video_jpeg": "JPEG files [B, T], one per frame",
}


_MAX_BYTES = 1 << 20  # ours; a contract is about 3 kB
_FORM = {
    "trained_at": {
        "num_frames?": (Count, None),
        "frame_rate?": (Positive, None),
        "size?": (Count, None),
        "square_crop?": (bool, None),
    },
    "signatures": {
        str: {
            "input": {
                "name?": str,
                "least_shape?": [Count],
                **dict.fromkeys(("minimum?", "maximum?"), (*NUMBER, None)),
                **dict.fromkeys(("least_bytes?", "most_bytes?", "element_bytes?"), (Count, None)),
                **dict.fromkeys(("most_pixels?", "sample_rate?"), (Count, None)),
                **dict.fromkeys(("encoding?", "example?"), (str, None)),
            },
        }
    },
}


def read_contract(folder: pathlib.Path) -> dict[str, Any] | None:
    """Read an exported model's contract, or return None if its folder has none.

    Raises:
      ValueError: the contract is damaged.
    """
    path = folder / CONTRACT_FILE
    if not path.exists():
        return None
    try:
        contract = parse_json(read_regular(path, _MAX_BYTES))
        check_form(contract, _FORM)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is not an input contract ({error}); export the model again."
        ) from error
    return contract


def make_contract(
    signatures: dict[str, Any],
    metadata: dict[str, Any],
    sample_rate: int | None,
    jpeg_size: int,
    sentence: str | None = None,
) -> dict[str, Any]:
    """Return an exported model's contract.

    Args:
      signatures: name -> concrete function, whose only input is named after a key of `INPUTS`.
      metadata: the model's metadata.
      sample_rate: sample rate of waveforms, in Hz; None if there is no audio backbone.
      jpeg_size: side of a decoded frame, in pixels.
      sentence: an example with a word known to the model; None if there is no text backbone.

    Returns:
      {"version": 1, "trained_at": metadata about clips, "signatures": {name: {"input": {"name",
      "dtype", "shape", "meaning", and limits}, "outputs": {name: shape}}}}; a null in a shape means
      any size.
    """
    described = {}
    for name, function in signatures.items():
        (spec,) = tf.nest.flatten(function.structured_input_signature)
        kind = spec.name
        limits = dict(_LIMITS[kind])
        if kind == "video_jpeg":
            # Size of a decoded frame, which a server counts before it decodes.
            limits["element_bytes"] = 12 * jpeg_size**2
            limits["most_pixels"] = MAX_PIXELS
        if kind == "audio":
            limits["sample_rate"] = sample_rate
        if kind == "text":
            limits["example"] = sentence
        described[name] = {
            "input": {
                "name": kind,
                "dtype": INPUTS[kind].dtype.name,
                "shape": INPUTS[kind].shape.as_list(),
                "meaning": _MEANING[kind],
                **limits,
            },
            "outputs": {
                key: value.shape.as_list()
                for key, value in sorted(function.structured_outputs.items())
            },
        }
    metadata = checked_metadata(metadata)  # it may have changed since loading
    trained_at = {
        key: metadata[key]
        for key in ("num_frames", "frame_rate", "size", "square_crop")
        if metadata.get(key) is not None
    }
    return {"version": 1, "trained_at": trained_at, "signatures": described}
