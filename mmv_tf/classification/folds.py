# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cross-validation folds that keep all clips from a film together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FOLDS = 5  # ours


def assign_folds(
    films: Sequence[str], targets: np.ndarray, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """Assign clips to folds with about the same number of clips per label.

    Films are assigned one by one, those with rare labels first, each to the fold with the fewest
    clips of its labels so far.

    Args:
      films: each clip's film; all clips from a film go to one fold.
      targets: int [clips, labels], 1 for the labels of a clip.
      folds: maximum number of folds, limited by the number of films. Some folds may lack a rare
        label.
      seed: seed for the order of films.

    Returns:
      int [clips], the fold index of each clip, counted from 0.

    Raises:
      ValueError: a label occurs in fewer than two films.
    """
    names, film_of = np.unique(np.asarray(films, str), return_inverse=True)
    counts = np.zeros([len(names), targets.shape[1] + 1])
    np.add.at(counts, film_of, np.pad(targets, [(0, 0), (0, 1)], constant_values=1))
    films_with = (counts[:, :-1] > 0).sum(axis=0)
    if films_with.min() < 2:
        raise ValueError(
            f"Label {films_with.argmin()} occurs in {films_with.min()} films; expected at least "
            "2, to train on one and validate on the other."
        )
    folds = min(folds, len(names))
    # Each film of a rare label weighs more. The last column, all clips, balances the fold sizes.
    shares = counts / counts.sum(axis=0)
    rarest = np.where(counts > 0, 1 / np.append(films_with, len(names)), 0).max(axis=1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-rarest[order], kind="stable")]
    filled = np.zeros([folds, counts.shape[1]])
    fold_of = np.zeros(len(names), np.int64)
    for film in order:
        # Change in the sum of squares for adding the film to each fold.
        cost = 2 * filled @ shares[film]
        fold_of[film] = cost.argmin()
        filled[fold_of[film]] += shares[film]
    return fold_of[film_of]
