# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Generates a large index of clustered random vectors, for timing queries."""

from __future__ import annotations

import pathlib

import numpy as np

from mmv_tf.inference.windows import Windows
from mmv_tf.search import store
from mmv_tf.search.manifest import Manifest, Video

MATRIX = "video.vat"
PER_VIDEO = 1_000  # windows
CENTRES = 2_000


def generated_index(
    directory: pathlib.Path, windows: int, dim: int, spread: float = 1.0
) -> store.Index:
    """Make an index of one matrix, `MATRIX`, with 1,000 windows per video, or open it if it exists.

    Args:
      directory: folder of the index.
      windows: number of rows, rounded down to a multiple of 1,000.
      dim: size of the vectors.
      spread: length of the noise around a center.
    """
    count = windows // PER_VIDEO * PER_VIDEO
    if store.newest_generation(directory):
        return store.open_index(directory)
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CENTRES, dim), np.float32)
    matrix = np.empty((count, dim), np.float32)
    for start in range(0, count, 50_000):
        rows = matrix[start : start + 50_000]
        rows[:] = centres[generator.integers(CENTRES, size=len(rows))] / np.sqrt(dim)
        rows += spread / np.sqrt(dim) * generator.standard_normal(rows.shape, np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    begin = np.tile(np.arange(PER_VIDEO, dtype=np.float32), count // PER_VIDEO)
    arrays = {
        MATRIX: matrix,
        store.SPANS: np.stack([begin, begin + 2], axis=1),
        store.HEARD: np.ones(count, bool),
    }
    cut = Windows(4, 2.0, 64, True, 2, 48_000)
    manifest = Manifest(0, {"": "/"}, "generated", "0" * 64, cut, {MATRIX: dim})
    writer = store.Writer(directory, manifest)
    name, files = writer.add_segment(arrays)
    videos = tuple(
        Video(f"{n:06d}.mp4", 0, 0, PER_VIDEO + 1.0, True, name, n * PER_VIDEO, PER_VIDEO)
        for n in range(count // PER_VIDEO)
    )
    writer.commit(videos=videos, segments={name: files})
    return store.open_index(directory)
