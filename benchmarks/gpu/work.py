# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Device, sizes, models and inputs of the report, and the time of a call."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model, preset_config

NETWORKS = {"S3D-G": "s3d_fac", "TSM-50": "tsm50_fac"}
_FIRST_LAYERS = {"S3D-G": "Conv2d_1a_7x7", "TSM-50": "stem"}
_CANDIDATES, _WORDS = 5, 16
_VOCABULARY = 1000  # for the words in batches
# Ours: the measured calls take about this long, or a single call if it takes longer.
_MOST_SECONDS = 2.0

# Name -> the model's dtype policy, and whether float32 products may use TF32 (TensorFlow's default
# on GPUs that have it); in order of importance.
PRECISIONS = {
    "mixed_bfloat16": ("mixed_bfloat16", True),
    "TF32": ("float32", True),
    "mixed_float16": ("mixed_float16", True),
    "float32": ("float32", False),
}


@dataclasses.dataclass(frozen=True)
class Setup:
    """Device, and sizes of networks and inputs.

    Attributes:
      device: the measured device, such as "GPU:0".
      clip: frames, height and width.
      sound: frames and bins of a log-mel spectrogram.
      batches: batch sizes in clips, smallest first.
      common_batch: batch size for measurements with a single batch size.
      calls: most calls per measurement.
      xla: calls and networks that are also compiled with XLA.
      precisions: precisions whose speed is measured, of `PRECISIONS`.
      tiny: use backbones with few layers and channels instead of the released ones.
    """

    device: str
    clip: tuple[int, int, int]
    sound: tuple[int, int]
    batches: tuple[int, ...]
    common_batch: int
    calls: int
    xla: tuple[tuple[str, str], ...]
    precisions: tuple[str, ...]
    tiny: bool = False


# The released models' clip (TF-Hub model card deepmind/mmv), and VATT's log-mel of 3.2 s.
REAL = Setup(
    *("GPU:0", (32, 200, 200), (150, 80), (8, 16, 32, 64, 128, 256), 32, 5),
    xla=tuple(itertools.product(("FAC step", "forward"), NETWORKS)),
    precisions=tuple(PRECISIONS),
)
# Ours: enough to run every line on two CPU cores in a few minutes. A second logical CPU stands in
# for the GPU, so that tensors move between devices. XLA compiles S3D-G's steps for minutes there.
SMALL = Setup(
    *("CPU:1", (4, 32, 32), (16, 80), (2, 4), 2, 1),
    xla=(("FAC step", "TSM-50"), ("forward", "S3D-G")),
    precisions=("mixed_bfloat16",),
    tiny=True,
)
_TINY: dict[str, dict[str, Any]] = {
    "S3D-G": {"width": 0.0625, "blocks": (1, 1, 1)},
    "TSM-50": {"width": 0.125, "depth": 18},
}


@contextlib.contextmanager
def precision(name: str) -> Iterator[str]:
    """Switch TF32 on or off for a precision of `PRECISIONS`, and yield its dtype policy."""
    policy, tf32 = PRECISIONS[name]
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        yield policy
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def model_config(name: str, setup: Setup, dtype: str = "float32") -> ml_collections.ConfigDict:
    """Return the configuration of a FAC model with a video backbone of `NETWORKS`."""
    config = preset_config(NETWORKS[name])
    config.dtype = dtype
    if dtype.startswith("mixed"):
        config.video.bfloat16_from, config.audio.bfloat16_from = _FIRST_LAYERS[name], "stem"
    if setup.tiny:
        config.video = {**config.video.to_dict(), **_TINY[name]}
        config.audio = {**config.audio.to_dict(), "width": 0.125, "depth": 18}
        config.text = {"vocabulary_size": _VOCABULARY, "embedding_dim": 8, "dim": 16}
    return config


def make(name: str, setup: Setup, dtype: str = "float32") -> EmbeddingGraph:
    """Return a FAC model with random weights, always the same."""
    keras.utils.set_random_seed(0)
    return create_model(model_config(name, setup, dtype))


def clips_of(setup: Setup, batch: int) -> tf.Tensor:
    """Return random clips [batch, T, H, W, 3] in [0, 1]."""
    return tf.random.stateless_uniform([batch, *setup.clip, 3], [0, 0])


def batch_of(setup: Setup, batch: int) -> dict[str, tf.Tensor]:
    """Return a training batch with all modalities."""
    texts = [batch, _CANDIDATES, _WORDS]
    return {
        "video": clips_of(setup, batch),
        "audio": tf.random.stateless_normal([batch, *setup.sound, 1], [0, 1]),
        "text": tf.random.stateless_uniform(texts, [0, 2], 1, _VOCABULARY, tf.int32),
        "valid/video": tf.ones([batch], tf.bool),
        "valid/audio": tf.ones([batch], tf.bool),
        "valid/text": tf.ones([batch, _CANDIDATES], tf.bool),
    }


class Timed(NamedTuple):
    """Seconds of the first call, which traces, compiles and tunes, and of each later call."""

    first_seconds: float
    seconds: float


def timed(call: Callable[[], tf.Tensor], most_calls: int) -> Timed:
    """Return the seconds of the first call, and per call for several calls with one wait.

    A second call, which is not counted, fills what the first one left out.
    """

    def seconds(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            found = call()
        found.numpy()  # waits: a GPU computes all calls in order
        return time.perf_counter() - start

    first, second = seconds(1), seconds(1)
    calls = max(1, min(most_calls, int(_MOST_SECONDS / max(second, 1e-6))))
    return Timed(first, seconds(calls) / calls)
