# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""One small, valid input for each signature: to warm a server up and to try a network out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from mmv_tf.layers import WordTokenizer

# Sizes where a network doesn't say what it was trained at (PAPER section 3).
_DEFAULTS = {"num_frames": 32, "frame_rate": 10.0, "size": 200}
_SENTENCE = "a person plays the guitar"
_WORDS = 1000  # of a vocabulary that are tried for an example; ours


def sample_input(name: str, contract: Mapping[str, Any], seed: int = 0) -> np.ndarray:
    """A batch of one, at the sizes that the network was trained at.

    Args:
      name: a signature.
      contract: see `make_contract`.
      seed: of the noise.

    Returns:
      float32, or an array of bytes objects.
    """
    trained = {**_DEFAULTS, **contract["trained_at"]}
    frames, size = int(trained["num_frames"]), int(trained["size"])
    generator = np.random.default_rng(seed)
    if name == "text":
        sentence = contract["signatures"]["text"]["input"].get("example") or _SENTENCE
        return np.array([sentence.encode()], dtype=object)
    if name == "audio":
        rate = contract["signatures"]["audio"]["input"]["sample_rate"]
        samples = round(rate * frames / float(trained["frame_rate"]))
        return generator.uniform(-0.5, 0.5, (1, samples)).astype(np.float32)
    if name == "image":
        return generator.random((1, size, size, 3), dtype=np.float32)
    if name == "video":
        return generator.random((1, frames, size, size, 3), dtype=np.float32)
    if name == "video_jpeg":
        pixels = generator.integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
        return np.array([[encode_jpeg(frame) for frame in pixels]], dtype=object)
    raise ValueError(f"There is no sample input for a signature named {name!r}.")


def sample_sentence(tokenizer: WordTokenizer) -> str:
    """A sentence with a word that the network knows, as checked signatures want it."""
    words = [word for word in tokenizer.vocabulary[:_WORDS] if word.isalpha()]
    candidates = [_SENTENCE, *words]
    known = tokenizer.knows(tokenizer(candidates)).numpy()
    return candidates[int(known.argmax())]


def encode_jpeg(pixels: np.ndarray, quality: int = 85) -> bytes:
    """uint8 [H, W, 3] -> the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
