# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The study's classifiers: linear on frozen features, and a fine-tuned backbone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mmv_tf.classification.folds import assign_folds
from mmv_tf.classification.linear_fit import Windows, fit_linear
from mmv_tf.classification.logistic import LogisticRegression, mean_by_clip
from mmv_tf.evaluation.declaration import FineTuning
from mmv_tf.evaluation.fine_tune import Source, fine_tune
from mmv_tf.evaluation.listing import Item

_CHUNK = 16  # items whose windows are embedded at once; ours


@dataclasses.dataclass(frozen=True)
class Features:
    """Frozen features of items.

    Attributes:
      values: float32 [windows, d].
      owner: int [windows], the item of each window.
    """

    values: np.ndarray
    owner: np.ndarray

    def of(self, items: np.ndarray) -> Features:
        """Return the windows of the given items, int [n], renumbered 0 to n - 1 in this order."""
        rows = [np.flatnonzero(self.owner == item) for item in items]
        owner = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
        return Features(self.values[np.concatenate(rows)], owner)


def extract(backbone: keras.layers.Layer, source: Source, items: Sequence[Item]) -> Features:
    """Return the backbone's output for each test window of the items."""
    embed = tf.function(
        lambda windows: backbone(windows, training=False), autograph=False, reduce_retracing=True
    )
    values, counts = [], []
    windows = source.test(items)
    while chunk := list(itertools.islice(windows, _CHUNK)):
        values.append(embed(tf.constant(np.concatenate(chunk))).numpy())
        counts += [len(one) for one in chunk]
    return Features(
        np.concatenate(values).astype(np.float32), np.repeat(np.arange(len(counts)), counts)
    )


def linear_scores(
    train: Features,
    items: Sequence[Item],
    test: Features,
    classes: int,
    penalty: float,
    seed: int,
) -> np.ndarray:
    """Fit logistic regression and score the test items.

    The penalty is chosen on held-out groups of training items if each class has at least two.

    Args:
      train: features of the training items.
      items: the training items.
      test: features of the test items.
      classes: number of classes.
      penalty: used if it can't be chosen on held-out groups.
      seed: seed for the folds.

    Returns:
      Scores float64 [test items, classes], averaged over windows.
    """
    targets = np.eye(classes, dtype=np.int64)[[item.labels[0] for item in items]]
    groups = np.array([item.group or item.item_id for item in items])
    if all(len(set(groups[column > 0])) > 1 for column in targets.T):
        folds = assign_folds(list(groups), targets, seed=seed)
        masks = [folds == fold for fold in range(int(folds.max()) + 1)]
        linear = fit_linear(Windows(train.values, train.owner, targets), masks, False).linear
    else:
        model = LogisticRegression(train.values, train.owner, targets, multi_label=False)
        (linear,) = model.fits((penalty,))
    scores = linear.scores(test.values, multi_label=False)
    return mean_by_clip(scores, test.owner, int(test.owner.max()) + 1)


def fine_tuned_scores(
    backbone: keras.layers.Layer,
    source: Source,
    train: Sequence[Item],
    test: Sequence[Item],
    classes: int,
    declared: FineTuning,
    min_steps: int,
    seed: int,
) -> np.ndarray:
    """Train the backbone in place, for at least `min_steps`, and score the test items.

    Args:
      backbone, source, train, test, classes, declared, seed: see `fine_tune`.
      min_steps: the number of epochs is increased until they have this many steps.

    Returns:
      Scores float32 [test items, classes], averaged over windows.
    """
    steps = max(1, len(train) // declared.batch_size)
    epochs = max(declared.epochs, -(-min_steps // steps))
    longer = dataclasses.replace(declared, epochs=epochs)
    name = f"fine-tune on {len(train)} labels"
    return fine_tune(backbone, source, train, test, classes, longer, seed, name)
