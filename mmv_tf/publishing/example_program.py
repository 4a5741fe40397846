# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Example program for a published model, which needs only TensorFlow and NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = '''"""Uses this model. Needs only TensorFlow and NumPy.

  python example.py
"""

import pathlib

import numpy as np
import tensorflow as tf

module = tf.saved_model.load(str(pathlib.Path(__file__).parent))
print("signatures:", ", ".join(sorted(module.signatures)))
'''

_PARTS = {
    "video": """
# A clip: float32 RGB frames [batch, time, height, width, 3] in [0, 1]. Put your own here.
clip = tf.random.stateless_uniform([1, {num_frames!r}, {size!r}, {size!r}, 3], seed=[0, 0])
video = module.signatures["video"](clip)
for name, value in video.items():
    print("video", name, value.shape)
""",
    "audio": """
# Audio: a mono waveform [batch, samples] in [-1, 1] at {sample_rate!r} Hz.
seconds = np.arange({samples!r}) / {sample_rate!r}
waveform = tf.constant(0.5 * np.sin(2 * np.pi * 440 * seconds)[np.newaxis], tf.float32)
audio = module.signatures["audio"](waveform)
for name, value in audio.items():
    print("audio", name, value.shape)
""",
    "text": """
# Whole sentences.
sentences = [{sentence!r}]
text = module.signatures["text"](tf.constant(sentences))
for name, value in text.items():
    print("text", name, value.shape)
""",
    "image": """
# Images: float32 RGB [batch, height, width, 3] in [0, 1].
image = module.signatures["image"](tf.zeros([1, {size!r}, {size!r}, 3]))
for name, value in image.items():
    print("image", name, value.shape)
""",
    "video_jpeg": """
# A clip as JPEG files, one per frame, of any size: [batch, time].
black = tf.io.encode_jpeg(tf.zeros([{size!r}, {size!r}, 3], tf.uint8))
jpeg = module.signatures["video_jpeg"](tf.fill([1, {num_frames!r}], black))
for name, value in jpeg.items():
    print("video_jpeg", name, value.shape)
""",
}

_RETRIEVAL = """
# Text-to-video retrieval: cosine similarities in the common space.
videos = tf.math.l2_normalize(video[{space!r}], axis=-1)
queries = tf.math.l2_normalize(text[{space!r}], axis=-1)
print("similarity of sentences and clips:", tf.matmul(queries, videos, transpose_b=True).numpy())
"""


def write_example(contract: Mapping[str, Any]) -> str:
    """Return the program's text for the available signatures.

    Args:
      contract: see `make_contract`.
    """
    signatures = contract["signatures"]
    trained = {"num_frames": 32, "frame_rate": 10.0, "size": 200, **contract["trained_at"]}
    rate = signatures.get("audio", {}).get("input", {}).get("sample_rate") or 0
    values = {
        **trained,
        "sentence": signatures.get("text", {}).get("input", {}).get("example"),
        "sample_rate": rate,
        "samples": round(rate * trained["num_frames"] / trained["frame_rate"]),
    }
    parts = [part.format(**values) for name, part in _PARTS.items() if name in signatures]
    if "video" in signatures and "text" in signatures:
        common = sorted(set(signatures["video"]["outputs"]) & set(signatures["text"]["outputs"]))
        parts += [_RETRIEVAL.format(space=space) for space in common[:1]]
    return _HEAD + "".join(parts)
