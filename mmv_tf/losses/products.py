# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The log of a sum of exponentials of dot products, without storing the products."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

# Far below any similarity, yet finite, so that a row with nothing valid does not become NaN.
MASKED = -1e9


class Tags(NamedTuple):
    """Example ids for the two sides of the products, for leaving out pairs of twins.

    Twins are different rows of the global batch that show one example.

    Attributes:
      left: int64 [N, 2], each row's example id and its row in the global batch.
      right: int64 [M, 2], the same for each column.
    """

    left: tf.Tensor
    right: tf.Tensor


def log_sum_exp_of_products(
    left: tf.Tensor,
    right: tf.Tensor,
    columns: tf.Tensor,
    temperature: float,
    chunk_rows: int = 0,
    tags: Tags | None = None,
) -> tf.Tensor:
    """Return LSE over j of left_i . right_j / temperature, over the columns j that count.

    Both passes process `left` in chunks of `chunk_rows`; the backward pass recomputes each chunk's
    products instead of storing them. This takes O(chunk_rows * M) memory, and one and a half times
    the arithmetic of storing all N * M products.

    Args:
      left: float32 [N, D].
      right: float32 [M, D].
      columns: float [M]; columns that are not positive are left out.
      temperature: divisor of the products.
      chunk_rows: rows per chunk; 0 computes all at once.
      tags: leave out a row's twins, which are also found chunk by chunk. None leaves no rows out.

    Returns:
      float32 [N]; about -1e9 where no column counts. It can be differentiated once.
    """

    def products(
        rows: tf.Tensor, row_tags: tf.Tensor | None, right: tf.Tensor, columns: tf.Tensor
    ) -> tf.Tensor:
        logits = tf.matmul(rows, right, transpose_b=True) / temperature
        counted = columns[tf.newaxis] > 0
        if tags is not None:
            counted &= ~_are_twins(row_tags, tags.right)
        return tf.where(counted, logits, MASKED)

    left_tags = None if tags is None else tags.left
    if chunk_rows <= 0:
        return tf.reduce_logsumexp(products(left, left_tags, right, columns), axis=1)

    @tf.custom_gradient
    def in_chunks(left: tf.Tensor, right: tf.Tensor, columns: tf.Tensor) -> Any:
        rows, dim = tf.shape(left)[0], left.shape[-1]
        # The last chunk is padded with zeros, which are finite and dropped again.
        pieces = tf.reshape(_pad_rows(left, chunk_rows), [-1, chunk_rows, dim])
        count = tf.shape(pieces)[0]
        piece_tags = (
            None
            if left_tags is None
            else tf.reshape(_pad_rows(left_tags, chunk_rows), [-1, chunk_rows, 2])
        )

        def products_of(index: tf.Tensor) -> tf.Tensor:
            own_tags = None if piece_tags is None else piece_tags[index]
            return products(pieces[index], own_tags, right, columns)

        def forward(index: tf.Tensor) -> tf.Tensor:
            return tf.reduce_logsumexp(products_of(index), axis=1)

        result = tf.map_fn(
            forward, tf.range(count), parallel_iterations=1, fn_output_signature=tf.float32
        )
        result = tf.reshape(result, [-1])[:rows]

        def backward(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            weights = tf.reshape(_pad_rows(upstream, chunk_rows), [-1, chunk_rows])
            sums = tf.reshape(_pad_rows(result, chunk_rows), [-1, chunk_rows])

            def step(
                index: tf.Tensor, right_gradient: tf.Tensor, left_gradients: tf.TensorArray
            ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
                # d LSE / d products is their softmax.
                share = tf.exp(products_of(index) - sums[index][:, tf.newaxis])
                share *= weights[index][:, tf.newaxis] / temperature
                right_gradient += tf.matmul(share, pieces[index], transpose_a=True)
                left_gradients = left_gradients.write(index, tf.matmul(share, right))
                return index + 1, right_gradient, left_gradients

            _, right_gradient, left_gradients = tf.while_loop(
                lambda index, *_: index < count,
                step,
                (
                    tf.zeros([], tf.int32),
                    tf.zeros_like(right),
                    tf.TensorArray(tf.float32, count, element_shape=[chunk_rows, dim]),
                ),
                parallel_iterations=1,
            )
            left_gradient = tf.reshape(left_gradients.stack(), [-1, dim])[:rows]
            return left_gradient, right_gradient, tf.zeros_like(columns)

        return result, backward

    return in_chunks(left, right, columns)


def _are_twins(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return which rows and columns are twins, bool [n, M], for tags [n, 2] and [M, 2]."""
    left_ids, left_rows = tf.unstack(left[:, tf.newaxis], axis=-1)
    right_ids, right_rows = tf.unstack(right[tf.newaxis], axis=-1)
    return (left_ids == right_ids) & (left_rows != right_rows)


def _pad_rows(tensor: tf.Tensor, multiple: int) -> tf.Tensor:
    missing = -tf.shape(tensor)[0] % multiple
    return tf.pad(tensor, [[0, missing]] + [[0, 0]] * (tensor.shape.rank - 1))
