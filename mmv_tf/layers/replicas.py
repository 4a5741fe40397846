# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exchange of small tensors, such as a batch norm's moments, between replicas."""

from __future__ import annotations

import collections
import weakref

import tensorflow as tf

# A group of our own, so that our keys are not the strategy's; it counts its groups from 1.
_GROUP = 1 << 20
# More exchanges of one size than any function has.
_PER_SIZE = 1 << 12

# Exchanges so far in a function that is being traced, by the number of their values.
_counts: weakref.WeakKeyDictionary[tf.Graph, collections.Counter[int]] = weakref.WeakKeyDictionary()


def of_each_replica(tensor: tf.Tensor) -> tf.Tensor:
    """[...] of this replica -> [replicas, ...] of all, in order; no gradient passes.

    Args:
      tensor: float32, of known shape, the same for all replicas.
    """
    replicas = _replicas()
    if replicas == 1:
        return tensor[tf.newaxis]
    if _one_replica_a_process():
        return _gathered(tensor, replicas)
    # As a sum in which each replica fills its own row: that is one exchange, where `all_gather`
    # takes two, since it asks for sizes first.
    context = tf.distribute.get_replica_context()
    own = tf.range(replicas) == context.replica_id_in_sync_group
    rows = tf.where(tf.reshape(own, [-1] + [1] * tensor.shape.rank), tensor, tf.zeros_like(tensor))
    rows = context.all_reduce(tf.distribute.ReduceOp.SUM, rows)
    return tf.ensure_shape(rows, [replicas, *tensor.shape])


def sum_over_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """The sum over the replicas, the same on each to the bit; arguments as above."""
    if _replicas() == 1:
        return tensor
    if _one_replica_a_process():
        return tf.reduce_sum(of_each_replica(tensor), axis=0)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def rows_of_all_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """[b, ...] of this replica -> [replicas * b, ...] of all, in order.

    The gradient of a replica's rows is the sum of all replicas', as `all_gather` has it.
    """
    replicas = _replicas()
    if replicas == 1:
        return tensor
    context = tf.distribute.get_replica_context()
    if not _one_replica_a_process() or not tensor.shape.is_fully_defined():
        return context.all_gather(tensor, axis=0)

    @tf.custom_gradient
    def gather(tensor: tf.Tensor) -> tuple[tf.Tensor, object]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, upstream)
            return tf.reshape(total, [replicas, *tensor.shape])[context.replica_id_in_sync_group]

        rows = tf.reshape(_gathered(tensor, replicas), [-1, *tensor.shape[1:]])
        return rows, gradient

    return gather(tensor)


def _replicas() -> int:
    """How many replicas there are to talk to; 1 outside of all of them, too."""
    if tf.distribute.get_replica_context() is None:
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def _one_replica_a_process() -> bool:
    """Whether this function's replicas are processes on CPUs, whose exchanges need no order."""
    strategy = tf.distribute.get_strategy()
    return (
        isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and not tf.executing_eagerly()
        and len(strategy.extended.worker_devices) == 1
        and "CPU" in strategy.extended.worker_devices[0].upper()
    )


def _gathered(tensor: tf.Tensor, replicas: int) -> tf.Tensor:
    """By TensorFlow's operation itself, a third of the time of the strategy's reduction.

    That passes values on twice where this does once; asks the first process for each exchange of
    each step; and makes an exchange wait for the one before it.
    """
    size = tensor.shape.num_elements()
    gathered = tf.raw_ops.CollectiveGatherV2(
        input=tf.reshape(tf.stop_gradient(tensor), [1, size]),
        group_size=replicas,
        group_key=_GROUP,
        instance_key=_next_key(size),
        ordering_token=[],
    )
    return tf.reshape(gathered, [replicas, *tensor.shape])


def _next_key(size: int) -> int:
    """The same in all processes, whichever functions they trace: the n-th of a size in this one."""
    graph = tf.compat.v1.get_default_graph()
    # The outermost: TensorFlow makes functions within functions.
    while isinstance(graph.outer_graph, type(graph)):
        graph = graph.outer_graph
    counts = _counts.setdefault(graph, collections.Counter())
    counts[size] += 1
    return size * _PER_SIZE + counts[size]
