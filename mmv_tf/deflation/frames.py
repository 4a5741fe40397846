# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Single frames of prepared clips, as images to fit a deflated network on."""

from __future__ import annotations

import numpy as np

from mmv_tf.data import Reader, config_for_network
from mmv_tf.graphs import EmbeddingGraph


def sample_frames(
    model: EmbeddingGraph, directory: str, split: str, frames_per_clip: int
) -> np.ndarray:
    """Frames spread evenly over each clip of a split, cropped in the middle.

    Args:
      model: its metadata say the size.
      directory, split: the data.
      frames_per_clip: how many of each clip.

    Returns:
      float32 [clips * frames_per_clip, size, size, 3] in [0, 1].
    """
    config = config_for_network(
        model.metadata, directory, split, num_frames=1, windows=frames_per_clip
    )
    reader = Reader(config, tokenizer=None, log_mel=None)
    with reader.explained():
        batches = [batch["video"].numpy() for batch in reader.evaluate()]
    if not batches:
        raise ValueError(f"Split {split!r} of {directory} has no clips to take frames of.")
    return np.concatenate([batch.reshape(-1, *batch.shape[3:]) for batch in batches])
