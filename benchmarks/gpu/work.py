# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models, inputs and sizes for the report, and rows measured within a time limit."""

from __future__ import annotations

import dataclasses
import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import ml_collections
import tensorflow as tf

from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model, preset_config

Row = dict[str, Any]

NETWORKS = {"S3D-G": "s3d_fac", "TSM-50": "tsm50_fac"}
_FIRST_LAYERS = {"S3D-G": "Conv2d_1a_7x7", "TSM-50": "stem"}
_CANDIDATES, _WORDS = 5, 16
_VOCABULARY = 1000  # for the words in batches


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of networks and inputs.

    Attributes:
      clip: frames, height and width.
      sound: frames and bins of a log-mel spectrogram.
      batches: batch sizes in clips, smallest first.
      common_batch: batch size for measurements with a single batch size.
      calls: calls per measurement.
      tiny: use backbones with few layers and channels instead of the released ones.
    """

    clip: tuple[int, int, int]
    sound: tuple[int, int]
    batches: tuple[int, ...]
    common_batch: int
    calls: int
    tiny: bool = False


# The released models' clip (TF-Hub model card deepmind/mmv), and VATT's log-mel of 3.2 s.
REAL = Sizes((32, 200, 200), (150, 80), (8, 16, 32, 64, 128, 256), 32, 5)
# Ours: enough to run every line on a CPU in a minute or two.
SMALL = Sizes((4, 32, 32), (16, 80), (2, 4), 2, 1, tiny=True)
_TINY = {
    "S3D-G": {"width": 0.0625, "blocks": (1, 1, 1)},
    "TSM-50": {"width": 0.125, "depth": 18},
}


def model_config(name: str, sizes: Sizes, dtype: str = "float32") -> ml_collections.ConfigDict:
    """Return the configuration of a FAC model with a video backbone of `NETWORKS`."""
    config = preset_config(NETWORKS[name])
    config.dtype = dtype
    if dtype.startswith("mixed"):
        config.video.bfloat16_from, config.audio.bfloat16_from = _FIRST_LAYERS[name], "stem"
    if sizes.tiny:
        config.video = {**config.video.to_dict(), **_TINY[name]}
        config.audio = {**config.audio.to_dict(), "width": 0.125, "depth": 18}
        config.text = {"vocabulary_size": _VOCABULARY, "embedding_dim": 8, "dim": 16}
    return config


def make(name: str, sizes: Sizes, dtype: str = "float32") -> EmbeddingGraph:
    """Return a FAC model with random weights, always the same."""
    keras.utils.set_random_seed(0)
    return create_model(model_config(name, sizes, dtype))


def clips_of(sizes: Sizes, batch: int) -> tf.Tensor:
    """Return random clips [batch, T, H, W, 3] in [0, 1]."""
    return tf.random.stateless_uniform([batch, *sizes.clip, 3], [0, 0])


def batch_of(sizes: Sizes, batch: int) -> dict[str, tf.Tensor]:
    """Return a training batch with all modalities."""
    texts = [batch, _CANDIDATES, _WORDS]
    return {
        "video": clips_of(sizes, batch),
        "audio": tf.random.stateless_normal([batch, *sizes.sound, 1], [0, 1]),
        "text": tf.random.stateless_uniform(texts, [0, 2], 1, _VOCABULARY, tf.int32),
        "valid/video": tf.ones([batch], tf.bool),
        "valid/audio": tf.ones([batch], tf.bool),
        "valid/text": tf.ones([batch, _CANDIDATES], tf.bool),
    }


def seconds_a_call(call: Callable[[], tf.Tensor], calls: int) -> float:
    """Return the seconds per call, for several calls with one wait, after two warm-ups."""
    for _ in range(2):
        call().numpy()
    start = time.perf_counter()
    for _ in range(calls):
        found = call()
    found.numpy()
    return (time.perf_counter() - start) / calls


class Clock:
    """Measures rows within a time limit.

    Args:
      seconds: the limit.
      device: such as "GPU:0".

    Attributes:
      left_out: measurements skipped for lack of time.
    """

    def __init__(self, seconds: float, device: str):
        self._end = time.monotonic() + seconds
        self._device = device
        self.left_out: list[str] = []

    def measured(self, what: Mapping[str, Any], measure: Callable[[], Row]) -> Row | None:
        """Return a row, with a problem instead of figures if TensorFlow raises an error.

        Args:
          what: describes the row.
          measure: returns the row's figures.

        Returns:
          None if time is up.
        """
        described = ", ".join(str(value) for value in what.values())
        if time.monotonic() > self._end:
            self.left_out.append(described)
            return None
        print(described, file=sys.stderr, flush=True)
        gpu = self._device.startswith("GPU")
        if gpu:
            tf.config.experimental.reset_memory_stats(self._device)
        try:
            with tf.device(self._device):
                found = measure()
        except tf.errors.ResourceExhaustedError:
            found = {"problem": "out of memory"}
        except tf.errors.OpError as error:
            found = {"problem": " ".join(error.message.split())[:200]}
        if gpu:
            peak = tf.config.experimental.get_memory_info(self._device)["peak"]
            found["peak_gb"] = round(peak / 1e9, 2)
        keras.utils.clear_session()
        gc.collect()
        return {**what, **found}


def until_full(rows: Iterator[Row | None]) -> Iterator[Row]:
    """Yield rows until memory is full or time is up, since larger batches don't fit either."""
    for row in rows:
        if row is None:
            return
        yield row
        if row.get("problem") == "out of memory":
            return
