# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Mixes several data sets in a batch, with exact proportions in any range of examples."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

# Keys of an entry in `config.mixture` other than reader settings.
_WEIGHT, _EVALUATE_SPLIT = "weight", "evaluate_split"


@dataclasses.dataclass(frozen=True)
class Part:
    """One data set in a configuration.

    Attributes:
      config: reader settings, locked.
      weight: proportion of training examples, above 0.
      evaluate_split: split to evaluate during training; "" for none.
    """

    config: ml_collections.ConfigDict
    weight: float = 1.0
    evaluate_split: str = ""


def parts_of(config: ml_collections.ConfigDict) -> list[Part]:
    """Return the data sets that a configuration trains on.

    Args:
      config: see `default_config`. Entries in `config.mixture` are dicts that hold the reader's
        settings that differ from `config`, such as "directory" and "split"; "weight" (1 by
        default), the data set's proportion of examples; and "evaluate_split", see
        `evaluated_parts`.

    Raises:
      ValueError: a setting is unknown, or a weight is not positive.
    """
    entries: tuple[Any, ...] = tuple(config.get("mixture", ())) or ({},)
    parts = []
    for entry in entries:
        own = ml_collections.ConfigDict(config.to_dict())
        own.mixture = ()
        extra: dict[str, Any] = {_WEIGHT: 1.0, _EVALUATE_SPLIT: ""}
        for name, value in dict(entry).items():
            if name in extra:
                extra[name] = value
            elif name in own:
                own[name] = value
            else:
                raise ValueError(
                    f"An entry of data.mixture sets {name!r}; expected 'weight', 'evaluate_split' "
                    f"or a reader setting: {', '.join(sorted(own))}."
                )
        weight = float(extra[_WEIGHT])
        if not weight > 0:
            raise ValueError(f"The weight of {own.directory} is {weight}; it must be above 0.")
        parts.append(Part(own.lock(), weight, str(extra[_EVALUATE_SPLIT])))
    return parts


def evaluated_parts(
    config: ml_collections.ConfigDict, split: str
) -> dict[str, ml_collections.ConfigDict]:
    """Return the readers' settings for evaluation during training, by name.

    These are the mixture's entries with an "evaluate_split", in order; if no entry has one, the
    first data set, with `split`. The first one's name is ""; the others are named after their
    folders, with a number added if two folders have the same name.
    """
    parts = parts_of(config)
    if not any(part.evaluate_split for part in parts):
        parts = [dataclasses.replace(parts[0], evaluate_split=split)]
    found: dict[str, ml_collections.ConfigDict] = {}
    for part in parts:
        if not part.evaluate_split:
            continue
        own = ml_collections.ConfigDict(part.config.to_dict())
        own.split = part.evaluate_split
        name = pathlib.Path(own.directory).name if found else ""
        if name in found:
            name = f"{name}_{len(found) + 1}"
        found[name] = own.lock()
    return found


def counts_before(number: int, weights: Sequence[float]) -> list[int]:
    """Return how many of the first `number` examples come from each source."""
    counts, left, weight_left = [], number, float(sum(weights))
    for weight in weights[:-1]:
        count = int(np.floor(left * (weight / weight_left) + 0.5))
        counts.append(count)
        left, weight_left = left - count, weight_left - weight
    return [*counts, left]


def choices(start: int, weights: Sequence[float]) -> tf.data.Dataset:
    """Return the sources, int64, of the examples from `start` onward, following `counts_before`."""

    def source(number: tf.Tensor) -> tf.Tensor:
        chosen, weight_left = tf.constant(len(weights) - 1, tf.int64), float(sum(weights))
        before, after = tf.cast(number, tf.float64), tf.cast(number + 1, tf.float64)
        for index, weight in enumerate(weights[:-1]):
            share = tf.constant(weight / weight_left, tf.float64)
            own = tf.floor(before * share + 0.5), tf.floor(after * share + 0.5)
            taken = (own[1] > own[0]) & (after > before)
            chosen = tf.where(taken, tf.minimum(chosen, index), chosen)
            # Once a source is chosen, later sources keep their position.
            before, after = before - own[0], after - own[1]
            weight_left -= weight
        return chosen

    return tf.data.Dataset.range(start, tf.int64.max).map(source)


def mix(
    datasets: Sequence[tf.data.Dataset], weights: Sequence[float], start: int
) -> tf.data.Dataset:
    """Mix several endless datasets of the same structure.

    Args:
      datasets: datasets of examples, each positioned at `counts_before(start, weights)`.
      weights: the datasets' weights, above 0; only their proportions matter.
      start: number of examples that the mixture has already yielded.
    """
    return tf.data.Dataset.choose_from_datasets(
        list(datasets), choices(start, weights), stop_on_empty_dataset=False
    )


def mix_batches(
    datasets: Sequence[tf.data.Dataset], weights: Sequence[float], batch_size: int
) -> tf.data.Dataset:
    """Return batches with a fixed number of examples from each source, for the tf.data service.

    The service distributes the elements that datasets start from, so no examples can be counted.

    Raises:
      ValueError: a source's part of a batch is less than half an example.
    """
    sizes = counts_before(batch_size, weights)
    if min(sizes) < 1:
        raise ValueError(
            f"A batch of {batch_size} with the weights {list(weights)} would have {sizes} examples "
            "from the data sets; expected at least one from each; raise the batch size or a "
            "weight."
        )
    parts = [
        dataset.batch(size, drop_remainder=True)
        for dataset, size in zip(datasets, sizes, strict=True)
    ]
    return tf.data.Dataset.zip(tuple(parts)).map(
        lambda *batch: tf.nest.map_structure(lambda *values: tf.concat(values, axis=0), *batch)
    )
