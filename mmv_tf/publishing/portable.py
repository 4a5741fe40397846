# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports to LiteRT (TensorFlow Lite) and ONNX, for programs without TensorFlow, as extras.

Each file is made from one signature at a fixed size, with batch norms folded, and is compared with
the model before it is written.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.layers import SpaceToDepth
from mmv_tf.layers.max_pool import MaxPool, max_pool
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.saved_model import Publication
from mmv_tf.util import files
from mmv_tf.util.keras_networks import all_layers, replaced_calls

FORMATS = ("litert", "onnx")
# Floats only: sentences and waveforms need operations that neither format supports.
ENCODERS = ("video", "image")
SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}
# If an output is all zeros, the absolute difference counts.
_TINY = 1e-12
_OPSET = 17  # of ONNX; ours, new enough for all operations of the models

Outputs = dict[str, np.ndarray]


def write_portable(
    model: EmbeddingGraph,
    path: str | os.PathLike[str],
    name: str,
    kind: str,
    image_model: ImageEncoder | None = None,
    shape: Sequence[int] | None = None,
) -> dict[str, float]:
    """Write one encoder in another format.

    Args:
      model: the model.
      path: the file; .tflite or .onnx.
      name: "video" or "image".
      kind: "litert", or "onnx", which needs the extra "onnx".
      image_model: its deflated model, for "image".
      shape: input shape, including the batch; None uses one clip or image of the training size.

    Returns:
      Output -> largest difference from the model on noise, relative to the output's magnitude.

    Raises:
      ValueError: the format's tools are missing, or can't convert the model.
    """
    if name not in ENCODERS or kind not in FORMATS:
        raise ValueError(
            f"Got the encoder {name!r} in the format {kind!r}; use one of {ENCODERS} in one of "
            f"{FORMATS}."
        )
    target = pathlib.Path(path)
    if target.suffix != SUFFIXES[kind]:
        raise ValueError(f"{target} should end in {SUFFIXES[kind]}.")
    options = ExportOptions(modalities=(name,), fold_batch_norms=True)
    publication = Publication(model, image_model, options)
    spec = tf.TensorSpec(_shape(model, name, shape), tf.float32, name=name)
    function = tf.function(
        lambda inputs: publication.apply(name, inputs), autograph=False, input_signature=[spec]
    )
    inputs = np.random.default_rng(0).random(spec.shape, dtype=np.float32)
    expected = {key: value.numpy() for key, value in function(tf.constant(inputs)).items()}
    convert = _to_litert if kind == "litert" else _to_onnx
    with _two_dimensional(model.video if name == "video" else image_model):
        # Traced again, so that it includes these steps and the expected outputs do not.
        function = tf.function(
            lambda inputs: publication.apply(name, inputs), autograph=False, input_signature=[spec]
        )
        data, run = convert(function, publication)
    found = run(inputs)
    differences = {
        key: float(np.abs(found[key] - value).max() / max(np.abs(value).max(), _TINY))
        for key, value in expected.items()
    }
    with files.replacing(target) as temporary:
        temporary.write_bytes(data)
    return differences


@contextlib.contextmanager
def _two_dimensional(network: Any) -> Iterator[None]:
    """Within the block, do 3-D steps that LiteRT lacks (pooling, space-to-depth) in 2-D."""
    calls: list[tuple[Any, Callable[..., tf.Tensor]]] = []
    for layer in all_layers([network]):
        if isinstance(layer, keras.layers.MaxPooling3D) and not isinstance(layer, MaxPool):
            # Keras' own pooling, in a user's backbone; `MaxPool` does this anyway.
            form = {"pool_size": layer.pool_size, "strides": layer.strides}
            calls.append((layer, functools.partial(max_pool, **form, padding=layer.padding)))
        elif isinstance(layer, SpaceToDepth):
            calls.append((layer, _space_to_depth))
    with replaced_calls(calls):
        yield


def _space_to_depth(inputs: tf.Tensor) -> tf.Tensor:
    """Apply `SpaceToDepth` with a transposition of six axes instead of eight."""
    paddings = [[0, 0], *([0, size % 2] for size in inputs.shape[1:4]), [0, 0]]
    x = tf.pad(inputs, paddings, mode="SYMMETRIC")
    batch, frames, height, width, channels = x.shape
    x = tf.reshape(x, [batch * frames, height, width, channels])
    x = tf.nn.space_to_depth(x, 2)
    x = tf.reshape(x, [batch, frames // 2, 2, height // 2, width // 2, 4 * channels])
    x = tf.transpose(x, [0, 1, 3, 4, 2, 5])
    return tf.reshape(x, [batch, frames // 2, height // 2, width // 2, 8 * channels])


def _shape(model: EmbeddingGraph, name: str, shape: Sequence[int] | None) -> list[int]:
    if shape is not None:
        return list(shape)
    size, frames = model.metadata.get("size"), model.metadata.get("num_frames")
    if not size or not frames:
        raise ValueError("The model does not state its training sizes; pass a shape.")
    return [1, size, size, 3] if name == "image" else [1, frames, size, size, 3]


def _to_litert(function: Any, publication: Publication) -> tuple[bytes, Callable[..., Outputs]]:
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], publication
    )
    try:
        data = converter.convert()
    except Exception as error:  # the converter has its own exceptions
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"LiteRT can't convert this network: {reason[0]}") from error

    def run(inputs: np.ndarray) -> Outputs:
        interpreter = tf.lite.Interpreter(model_content=data)
        runner = interpreter.get_signature_runner()
        (name,) = runner.get_input_details()
        return runner(**{name: inputs})

    return data, run


def _to_onnx(function: Any, publication: Publication) -> tuple[bytes, Callable[..., Outputs]]:
    del publication  # its variables become constants
    try:
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise ValueError(
            f'ONNX needs {error.name}: pip install "mmv_tf[onnx]" in a separate environment.'
        ) from error
    spec = function.input_signature[0]
    model, _ = tf2onnx.convert.from_function(function, [spec], opset=_OPSET)
    data = model.SerializeToString()

    def run(inputs: np.ndarray) -> Outputs:
        session = onnxruntime.InferenceSession(data)
        values = session.run(None, {session.get_inputs()[0].name: inputs})
        # Outputs are in the order of their keys, as TensorFlow flattens a dict.
        keys = sorted(function.get_concrete_function().structured_outputs)
        return dict(zip(keys, values, strict=True))

    return data, run
