# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Draws the examples whose labels a classifier may see."""

from __future__ import annotations

import numpy as np


def draw_labeled(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw the same share of each class, and at least one example.

    Draws with the same seed are nested: a larger share contains the examples of a smaller share.

    Args:
      labels: int [N], each example's class.
      share: in (0, 1].
      seed: seed for the draw.

    Returns:
      Indices of the drawn examples, int [n], in increasing order.

    Raises:
      ValueError: the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"The share of labels is {share}; it must be above 0 and at most 1.")
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen.append(members[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(chosen))
