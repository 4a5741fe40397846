# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips kept in memory, for many short runs on the same clips."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os

import numpy as np
import tensorflow as tf

from mmv_tf.util.progress import Progress
from projects.narrated_world.world import NarratedWorld, shuffled_positions

_CHUNK = 128  # clips to generate at once; ours


@dataclasses.dataclass(frozen=True)
class Pool:
    """Batch arrays for N clips; "video" is stored as uint8 and the log-mel as float16."""

    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["video"])

    def batch(self, index: np.ndarray) -> dict[str, tf.Tensor]:
        """Return selected clips in the form of a `NarratedWorld` batch."""
        return _unpack({name: tf.constant(value[index]) for name, value in self.arrays.items()})

    def train(
        self, seed: int, batch_size: int, start: int = 0, candidates: int | None = None
    ) -> tf.data.Dataset:
        """Return endless batches with every clip once per epoch.

        Args:
          seed: seed for the order.
          batch_size: clips per batch.
          start: number of examples to skip first.
          candidates: keep only this many of the nearest narrations.
        """
        arrays = dict(self.arrays)
        for name in ("text", "valid/text", "right"):
            arrays[name] = arrays[name][:, :candidates]
        names = list(arrays)

        def take(positions: np.ndarray) -> list[np.ndarray]:
            index = shuffled_positions(seed, positions, len(self)) % len(self)
            return [arrays[name][index] for name in names]

        def gather(positions: tf.Tensor) -> dict[str, tf.Tensor]:
            types = [tf.as_dtype(arrays[name].dtype) for name in names]
            values = tf.numpy_function(take, [positions], types, stateful=False)
            for name, value in zip(names, values, strict=True):
                value.set_shape([batch_size, *arrays[name].shape[1:]])
            return _unpack(dict(zip(names, values, strict=True)))

        positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max - batch_size)
        dataset = positions.batch(batch_size, drop_remainder=True).map(gather)
        options = tf.data.Options()
        options.autotune.enabled = False  # see `reader`
        return dataset.with_options(options).prefetch(2)


def make_pool(world: NarratedWorld, index: np.ndarray, coarse: np.ndarray | None = None) -> Pool:
    """Generate clips on all cores.

    Args:
      world: a world, with a tokenizer and a log-mel if the pool should have text and audio.
      index, coarse: as for `NarratedWorld.clips`.
    """
    index = np.asarray(index, np.int64)
    pieces = [slice(at, at + _CHUNK) for at in range(0, len(index), _CHUNK)]

    def generate(piece: slice) -> dict[str, np.ndarray]:
        batch = world.batch(index[piece], None if coarse is None else coarse[piece])
        return _pack(batch)

    arrays: dict[str, np.ndarray] = {}
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers,
        Progress(len(index), "generate", "clips") as progress,
    ):
        for piece, part in zip(pieces, workers.map(generate, pieces), strict=True):
            for name, value in part.items():
                if name not in arrays:
                    arrays[name] = np.empty((len(index), *value.shape[1:]), value.dtype)
                arrays[name][piece] = value
            progress.update(len(part["video"]))
    return Pool(arrays)


def _pack(batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    arrays = {name: value.numpy() for name, value in batch.items()}
    arrays["video"] = np.round(arrays["video"] * 255.0).astype(np.uint8)
    if "audio" in arrays:
        arrays["audio"] = arrays["audio"].astype(np.float16)
    return arrays


def _unpack(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    batch["video"] = tf.cast(batch["video"], tf.float32) / 255.0
    if "audio" in batch:
        batch["audio"] = tf.cast(batch["audio"], tf.float32)
    return batch
