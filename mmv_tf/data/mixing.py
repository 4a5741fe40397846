# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several data sets in one batch, each with its exact share of every stretch of examples.

PAPER section 3 mixes HowTo100M with AudioSet; in what proportion is not known. Nothing is drawn:
source i has had `round(share * n)` of the first n examples, so each batch has its share to within
one example, and how far each source is follows from n alone: a run goes on at any example.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def counts_before(number: int, weights: Sequence[float]) -> list[int]:
    """How many of the first `number` examples come from each source."""
    counts, left, weight_left = [], number, float(sum(weights))
    for weight in weights[:-1]:
        count = int(np.floor(left * (weight / weight_left) + 0.5))
        counts.append(count)
        left, weight_left = left - count, weight_left - weight
    return [*counts, left]


def choices(start: int, weights: Sequence[float]) -> tf.data.Dataset:
    """The sources, int64, of examples `start`, `start` + 1 and so on; see `counts_before`."""

    def source(number: tf.Tensor) -> tf.Tensor:
        chosen, weight_left = tf.constant(len(weights) - 1, tf.int64), float(sum(weights))
        before, after = tf.cast(number, tf.float64), tf.cast(number + 1, tf.float64)
        for index, weight in enumerate(weights[:-1]):
            share = tf.constant(weight / weight_left, tf.float64)
            own = tf.floor(before * share + 0.5), tf.floor(after * share + 0.5)
            taken = (own[1] > own[0]) & (after > before)
            chosen = tf.where(taken, tf.minimum(chosen, index), chosen)
            # Once taken, the sources after it stand still.
            before, after = before - own[0], after - own[1]
            weight_left -= weight
        return chosen

    return tf.data.Dataset.range(start, tf.int64.max).map(source)


def mix(
    datasets: Sequence[tf.data.Dataset], weights: Sequence[float], start: int
) -> tf.data.Dataset:
    """One dataset of several endless ones of the same structure.

    Args:
      datasets: of examples, each already at `counts_before(start, weights)`.
      weights: above 0; only their proportions matter.
      start: how many examples the mixture has given before.
    """
    return tf.data.Dataset.choose_from_datasets(
        list(datasets), choices(start, weights), stop_on_empty_dataset=False
    )


def mix_batches(
    datasets: Sequence[tf.data.Dataset], weights: Sequence[float], batch_size: int
) -> tf.data.Dataset:
    """Batches with the same number of examples of each source, for the tf.data service.

    The service deals out what datasets start from, so nothing may count examples.

    Raises:
      ValueError: a source's share of a batch is less than half an example.
    """
    sizes = counts_before(batch_size, weights)
    if min(sizes) < 1:
        raise ValueError(
            f"A batch of {batch_size} with the weights {list(weights)} would have {sizes} examples "
            "of each data set; expected at least one of each: raise the batch size or a weight."
        )
    parts = [
        dataset.batch(size, drop_remainder=True)
        for dataset, size in zip(datasets, sizes, strict=True)
    ]
    return tf.data.Dataset.zip(tuple(parts)).map(
        lambda *batch: tf.nest.map_structure(lambda *values: tf.concat(values, axis=0), *batch)
    )
