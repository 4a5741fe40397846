# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MMV's contrastive losses, NCE and MIL-NCE: one computation, with one or several candidates.

For row i with video v_i and candidate narrations y_i,1..P (P = 1 for video-audio):

    loss_i = LSE({sim(v_i, y_j,k)} for all j, k; {sim(v_j, y_i,k)} for all j, k)
             - LSE({sim(v_i, y_i,k)} for all k),    sim(v, y) = v . y / temperature,

with unit vectors and LSE the log of the sum of exponentials. Both directions share ONE denominator,
which contains the positive pairs twice, so the minimum of the loss is log 2: the loss is not the
mean of two cross-entropies. The losses of MIL-NCE (Miech et al., 2020) and of VATT's code, which
cites MMV, have this batch form. The mean of two cross-entropies, as in CLIP, is an option
(`symmetric`); its minimum is 0:

    loss_i = mean of LSE({sim(v_i, y_j,k)} for all j, k) and LSE({sim(v_j, y_i,k)} for all j, k)
             - LSE({sim(v_i, y_i,k)} for all k).

A batch may contain an example several times. Such twins are false negatives of each other; with
`ids`, the sums over j leave out row i's twins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mmv_tf.losses.products import MASKED, Tags, log_sum_exp_of_products
from mmv_tf.util.gradient_order import copies

Gather = Callable[[tf.Tensor], tf.Tensor]


def mil_nce(
    video: tf.Tensor,
    text: tf.Tensor,
    temperature: float = 0.07,
    valid: Any = None,
    candidate_valid: Any = None,
    gather: Gather | None = None,
    symmetric: bool = False,
    chunk_rows: int = 0,
    textless_negatives: bool = False,
    ids: Any = None,
) -> tf.Tensor:
    """Return the MIL-NCE loss of videos and their candidate narrations (Alayrac et al., 2020).

    Args:
      video: float [B, D]; normalized inside, so any norm is allowed.
      text: float [B, P, D], the P candidates of each row.
      temperature: divisor of the cosine similarities; 0.07 in the paper.
      valid: optional [B] booleans; other rows are neither scored nor used as negatives.
      candidate_valid: optional [B, P] booleans; a row without a valid candidate is invalid.
      gather: function that concatenates a [b, ...] tensor over replicas, in replica order. With it,
        the negatives come from the global batch, and the result is this replica's share of the
        global mean: the shares add up to it.
      symmetric: use the mean of two cross-entropies instead of one denominator for both directions.
      chunk_rows: compute the similarities of this many rows at a time, forward and backward,
        without storing them; 0 computes all rows at once.
      textless_negatives: valid videos without a valid candidate are not scored, but serve as
        negatives for other rows' narrations, in the sum over sim(v_j, y_i,k). This follows VATT,
        which follows MMV and masks only the missing narrations; MMV's paper does not specify it.
        False leaves them out.
      ids: optional [B] integers that identify the rows' examples. Rows with the same id are not
        negatives of each other; a row's own pair stays its positive. With `gather`, this holds over
        all replicas: each replica finds its position through `tf.distribute`, and all must have the
        same number of rows.

    Returns:
      The mean over valid rows, a float32 scalar; 0 if there are none.

    Raises:
      ValueError: shapes do not match, ids are not integers, or the temperature is not positive.
    """
    total, count = loss_sum_and_count(
        video,
        text,
        temperature,
        valid,
        candidate_valid,
        gather,
        symmetric,
        chunk_rows,
        textless_negatives,
        ids,
    )
    return tf.math.divide_no_nan(total, count)


def nce(
    a: tf.Tensor,
    b: tf.Tensor,
    temperature: float = 0.07,
    valid: Any = None,
    gather: Gather | None = None,
    symmetric: bool = False,
    chunk_rows: int = 0,
    ids: Any = None,
) -> tf.Tensor:
    """Return the NCE loss of two modalities: `mil_nce` with one candidate per row.

    Args:
      a, b: float [B, D]; row i of `a` matches row i of `b`.
      temperature, valid, gather, symmetric, chunk_rows, ids: as for `mil_nce`.

    Returns:
      The mean over valid rows, a float32 scalar; 0 if there are none.
    """
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if b.shape.rank != 2:
        raise ValueError(f"nce expects two [B, D] tensors; got {a.shape} and {b.shape}.")
    return mil_nce(
        a,
        b[:, tf.newaxis],
        temperature,
        valid,
        gather=gather,
        symmetric=symmetric,
        chunk_rows=chunk_rows,
        ids=ids,
    )


def loss_sum_and_count(
    video: tf.Tensor,
    text: tf.Tensor,
    temperature: float,
    valid: Any = None,
    candidate_valid: Any = None,
    gather: Gather | None = None,
    symmetric: bool = False,
    chunk_rows: int = 0,
    textless_negatives: bool = False,
    ids: Any = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the loss summed over this replica's valid rows, and their number over all replicas.

    Each replica's similarities take O(local batch x global batch x P) memory, or with `chunk_rows`
    O(chunk_rows x global batch x P).
    """
    video = tf.convert_to_tensor(video)
    text = tf.convert_to_tensor(text)
    if video.shape.rank != 2 or text.shape.rank != 3 or video.shape[-1] != text.shape[-1]:
        raise ValueError(
            f"Expected video [B, D] and text [B, P, D]; got {video.shape} and {text.shape}."
        )
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be positive.")
    if chunk_rows < 0:
        raise ValueError(f"chunk_rows is {chunk_rows}; expected 0 (all rows at once) or more.")
    own_ids = None if ids is None else _check_ids(ids, video.shape[0])
    gather = gather or tf.identity
    batch, candidates = tf.shape(text)[0], tf.shape(text)[1]
    dim = video.shape[-1]
    video = tf.math.l2_normalize(tf.cast(video, tf.float32), axis=-1)
    text = tf.math.l2_normalize(tf.cast(text, tf.float32), axis=-1)

    if candidate_valid is None:
        candidate_valid = tf.ones([batch, candidates], tf.bool)
    candidate_valid = tf.cast(candidate_valid, tf.bool)
    if valid is None:
        valid = tf.ones([batch], tf.bool)
    video_valid = tf.cast(valid, tf.bool)
    valid = video_valid & tf.reduce_any(candidate_valid, axis=1)
    candidate_valid &= valid[:, tf.newaxis]

    own_video, gathered_video, video = copies(video, 3)
    own_text, gathered_text, text = copies(text, 3)
    all_video, all_text = gather(gathered_video), gather(gathered_text)
    # Booleans are gathered as numbers: not every collective supports them.
    all_valid = gather(tf.cast(valid, tf.float32))
    all_candidate_valid = gather(tf.cast(candidate_valid, tf.float32))
    negatives = gather(tf.cast(video_valid, tf.float32)) if textless_negatives else all_valid

    own_rows, all_rows = None, None
    if own_ids is not None:
        own_rows, all_rows = _tag_rows(own_ids, gather)

    def masked(values: tf.Tensor) -> tf.Tensor:
        """Mask the candidates that don't count, [b, P]."""
        return tf.where(candidate_valid, values, MASKED)

    # Own videos against all narrations, [b]; own narrations against all videos, [b, P].
    to_text = log_sum_exp_of_products(
        own_video,
        tf.reshape(all_text, [-1, dim]),
        tf.reshape(all_candidate_valid, [-1]),
        temperature,
        chunk_rows,
        _tags(own_rows, 1, all_rows, candidates),
    )
    to_video = log_sum_exp_of_products(
        tf.reshape(own_text, [-1, dim]),
        all_video,
        negatives,
        temperature,
        chunk_rows,
        _tags(own_rows, candidates, all_rows, 1),
    )
    to_video = tf.reduce_logsumexp(masked(tf.reshape(to_video, [batch, -1])), axis=1)
    positive = tf.einsum("bd,bpd->bp", video, text) / temperature
    positive = tf.reduce_logsumexp(masked(positive), axis=1)
    if symmetric:
        everything = (to_text + to_video) / 2.0
    else:
        everything = tf.reduce_logsumexp(tf.stack([to_text, to_video]), axis=0)
    rows = tf.where(valid, everything - positive, 0.0)
    return tf.reduce_sum(rows), tf.reduce_sum(all_valid)


def _check_ids(ids: Any, rows: int | None) -> tf.Tensor:
    """Return ids as int64 [B].

    Raises:
      ValueError: the ids have another dtype or shape.
    """
    ids = tf.convert_to_tensor(ids)
    if not ids.dtype.is_integer:
        raise ValueError(
            f"ids are {ids.dtype.name}; expected integers; hash names with "
            "tf.strings.to_hash_bucket_fast."
        )
    if not ids.shape.is_compatible_with([rows]):
        raise ValueError(f"Expected ids of shape [{rows}], one per row; got {ids.shape}.")
    return tf.cast(ids, tf.int64)


def _tag_rows(ids: tf.Tensor, gather: Gather) -> tuple[tf.Tensor, tf.Tensor]:
    """Return id and global row, int64 [., 2], for this replica's rows and for all rows."""
    everyone = _gather_exactly(ids, gather)
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    count = tf.size(ids, tf.int64)
    # Without other replicas' rows, this replica's rows come first.
    first = tf.where(tf.size(everyone, tf.int64) > count, tf.cast(replica, tf.int64) * count, 0)
    own = tf.stack([ids, first + tf.range(count)], axis=1)
    return own, tf.stack([everyone, tf.range(tf.size(everyone, tf.int64))], axis=1)


def _gather_exactly(values: tf.Tensor, gather: Gather) -> tf.Tensor:
    """Gather int64 [b] as 16-bit parts in floats: not every collective supports integers."""
    shifts = tf.constant([0, 16, 32, 48], tf.int64)
    parts = tf.bitwise.right_shift(values[:, tf.newaxis], shifts)
    parts = tf.bitwise.bitwise_and(parts, tf.constant(0xFFFF, tf.int64))
    parts = tf.cast(gather(tf.cast(parts, tf.float32)), tf.int64)
    return tf.reduce_sum(tf.bitwise.left_shift(parts, shifts), axis=1)


def _tags(
    left: tf.Tensor | None, left_each: Any, right: tf.Tensor | None, right_each: Any
) -> Tags | None:
    """Return tags with each row repeated for its candidates, or None if there are no ids."""
    if left is None or right is None:
        return None
    return Tags(tf.repeat(left, left_each, axis=0), tf.repeat(right, right_each, axis=0))
