# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips that occur more than once in a batch: ids that let the loss mask them, and a warning.

A clip that occurs twice in a batch, even as two crops, is a false negative of itself; so, to a
lesser degree, is a neighboring clip of the same film.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import tensorflow as tf

from mmv_tf.data import Input, Reader
from mmv_tf.data.reading.mixing import counts_before

logger = logging.getLogger(__name__)

# Rows that are not negatives of each other: rows of one clip, of one source film, or none.
EXAMPLE, SOURCE, NONE = "example", "source", "none"
MASKS = (EXAMPLE, SOURCE, NONE)

# Ids are hashes into this many values: among a million clips, two collide with probability 5e-8.
_BUCKETS = (1 << 63) - 1
_NAMED = 3


def check(mask: str) -> None:
    """Check the setting `training.mask_duplicates`.

    Raises:
      ValueError: the value is not in `MASKS`.
    """
    if mask not in MASKS:
        raise ValueError(
            f"training.mask_duplicates is {mask!r}; expected one of {', '.join(MASKS)}."
        )


def ids_of(batch: dict[str, tf.Tensor], mask: str) -> tf.Tensor | None:
    """Return the ids by which a batch's rows are masked; see `losses.mil_nce`.

    Names are compared across all data sets in a mixture.

    Args:
      batch: see `Reader`, with eager tensors.
      mask: one of `MASKS`.

    Returns:
      int64 [B]; None if nothing is to be masked, or if the batch has no example names and `mask` is
      "example".

    Raises:
      ValueError: the batch does not name all sources, but `mask` is "source".
    """
    if mask == NONE or (mask == EXAMPLE and "example_id" not in batch):
        return None
    if mask == EXAMPLE:
        return tf.strings.to_hash_bucket_fast(batch["example_id"], _BUCKETS)
    if "media_id" not in batch:
        raise ValueError(_no_source("These data name no source films"))
    nameless = tf.equal(batch["media_id"], "")
    if tf.reduce_any(nameless):
        clips = [name.decode(errors="replace") for name in batch["example_id"][nameless].numpy()]
        more = f" and {len(clips) - _NAMED} more" if len(clips) > _NAMED else ""
        raise ValueError(
            _no_source(f"Clips without a source film: {', '.join(clips[:_NAMED])}{more}")
        )
    return tf.strings.to_hash_bucket_fast(batch["media_id"], _BUCKETS)


def check_sources(readers: Sequence[Reader], mask: str) -> None:
    """Check that the first record of each data set names its source film, if this is needed.

    Raises:
      ValueError: the first record of a data set does not name it.
    """
    if mask != SOURCE:
        return
    for reader in readers:
        if not reader.first_media_id():
            raise ValueError(
                _no_source(
                    f"{reader.directory}: its records ({reader.config.records}) name no source film"
                )
            )


def _no_source(what: str) -> str:
    return (
        f"{what}, which training.mask_duplicates='source' compares; set it to 'example', or "
        "prepare the data with 'mmv prepare_data'."
    )


def warn_of_small_data(source: Input, batch_size: int, mask: str) -> None:
    """Warn if a data set has fewer clips than its share of a batch.

    Args:
      source: the training data.
      batch_size: the global batch size.
      mask: one of `MASKS`.
    """
    shares = counts_before(batch_size, source.weights)
    for reader, share in zip(source.readers, shares, strict=True):
        clips = reader.num_examples()
        if share <= clips:
            continue
        whole = f"The batch of {batch_size} clips"
        if len(shares) > 1:
            whole = f"The share of {share} clips in the batch of {batch_size}"
        effect = (
            "which are then false negatives of each other (training.mask_duplicates='none')"
            if mask == NONE
            else "which the loss then masks, so that there are fewer negatives"
        )
        fitting = max(1, batch_size * clips // share)
        logger.warning(
            "%s is larger than the %d training clips of %s (%s): each batch contains clips more "
            "than once, %s. Set data.batch_size to %d or less, or prepare more clips.",
            whole,
            clips,
            reader.directory,
            reader.config.split,
            effect,
            fitting,
        )
