# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small, valid inputs for each signature, and warm-up requests made from them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from mmv_tf.layers import WordTokenizer

# Sizes for models that do not state their training sizes (MMV, Alayrac et al., 2020).
_DEFAULTS = {"num_frames": 32, "frame_rate": 10.0, "size": 200}

_SENTENCE = "a person plays the guitar"

_WORDS = 1000  # words of a vocabulary to try for an example; ours


def sample_input(name: str, contract: Mapping[str, Any], seed: int = 0) -> np.ndarray:
    """Return a batch of one, at the model's training sizes.

    Args:
      name: a signature.
      contract: see `make_contract`.
      seed: seed for the noise.

    Returns:
      float32, or an array of bytes objects.
    """
    trained = {**_DEFAULTS, **contract["trained_at"]}
    frames, size = int(trained["num_frames"]), int(trained["size"])
    generator = np.random.default_rng(seed)
    described = contract["signatures"].get(name, {}).get("input", {})
    kind = described.get("name", name)
    if kind == "text":
        sentence = described.get("example") or _SENTENCE
        return np.array([sentence.encode()], dtype=object)
    if kind == "audio":
        rate = described["sample_rate"]
        samples = round(rate * frames / float(trained["frame_rate"]))
        return generator.uniform(-0.5, 0.5, (1, samples)).astype(np.float32)
    if kind == "image":
        return generator.random((1, size, size, 3), dtype=np.float32)
    if kind == "video":
        return generator.random((1, frames, size, size, 3), dtype=np.float32)
    if kind == "video_jpeg":
        pixels = generator.integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
        return np.array([[encode_jpeg(frame) for frame in pixels]], dtype=object)
    raise ValueError(f"There is no sample input for a signature named {name!r}.")


def sample_sentence(tokenizer: WordTokenizer) -> str:
    """Return a sentence with a word known to the model, for checked signatures."""
    words = [word for word in tokenizer.vocabulary[:_WORDS] if word.isalpha()]
    candidates = [_SENTENCE, *words]
    known = tokenizer.knows(tokenizer(candidates)).numpy()
    return candidates[int(known.argmax())]


def encode_jpeg(pixels: np.ndarray, quality: int = 85) -> bytes:
    """Encode uint8 [H, W, 3] as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# Where TensorFlow Serving expects it, within the SavedModel's folder.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(
    path: str | os.PathLike[str], model_name: str, contract: Mapping[str, Any]
) -> None:
    """Write a TFRecord of `PredictionLog` protos, one request for each signature.

    Args:
      path: the file.
      model_name: the model's name on the server.
      contract: see `make_contract`.

    Raises:
      ValueError: tensorflow-serving-api, from the extra "serve", is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ValueError(
            'Warm-up requests need tensorflow-serving-api: pip install "mmv_tf[serve]".'
        ) from error
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for name in contract["signatures"]:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            sample = tf.make_tensor_proto(sample_input(name, contract))
            request.inputs[contract["signatures"][name]["input"]["name"]].CopyFrom(sample)
            writer.write(log.SerializeToString())


def read_warmup(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Yield the `PredictRequest` protos in a file that `write_warmup` wrote."""
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset([os.fspath(path)]).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
