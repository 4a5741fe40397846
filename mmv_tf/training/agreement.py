# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks between workers that train together: same settings and data, and none of them lost."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.configuration import differences
from mmv_tf.training.strategy import worker_and_workers


class WorkerLostError(ValueError):
    """Another worker is gone, so that this one can't go on."""


@contextlib.contextmanager
def losses_explained(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's errors about other workers into one clear error.

    Raises:
      WorkerLostError: another worker was killed, or has not answered for ten seconds, which is
        TensorFlow's limit.
    """
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.DeadlineExceededError,
    ) as error:
        if worker_and_workers(strategy)[1] == 1:
            raise
        raise WorkerLostError(
            f"{_lost_worker(strategy, error.message or '')} no longer answers. Start all workers "
            "again; they go on from the last checkpoint."
        ) from error


def _lost_worker(strategy: tf.distribute.Strategy, message: str) -> str:
    """The worker that an error is about, if it names one besides this."""
    chiefs = len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", ()))
    named = re.findall(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)", message)
    numbers = {int(task) + (chiefs if job == "worker" else 0) for job, task in named}
    numbers -= {worker_and_workers(strategy)[0]}
    if not numbers and "CoordinationService/Heartbeat" in message:
        return "Worker 0"  # It coordinates.
    return f"Worker {numbers.pop()}" if len(numbers) == 1 else "Another worker"


def gather_texts(strategy: tf.distribute.Strategy, text: str) -> list[str]:
    """Every worker's text, in the workers' order; all get the same list."""
    _, workers = worker_and_workers(strategy)
    if workers == 1:
        return [text]
    data = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    lengths = _gather(strategy, np.array([len(data)], np.int32))[:, 0]
    # TensorFlow crashes when it gathers rows of no elements.
    padded = np.zeros(max(1, lengths.max()), np.int32)
    padded[: len(data)] = data
    rows = _gather(strategy, padded)
    texts = [
        bytes(row[:length].astype(np.uint8)).decode()
        for row, length in zip(rows, lengths, strict=True)
    ]
    # A worker has a row for each of its replicas.
    return texts[:: len(texts) // workers]


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come here."""
    if worker_and_workers(strategy)[1] > 1:
        _gather(strategy, np.zeros([1], np.int32))


def require_the_same(strategy: tf.distribute.Strategy, what: dict[str, Any]) -> None:
    """Compares what the workers were started with.

    Args:
      strategy: theirs.
      what: settings and digests, as JSON takes them.

    Raises:
      ValueError: on every worker, if one of them differs from the first; it names the entry.
    """
    texts = gather_texts(strategy, json.dumps(what, sort_keys=True))
    for worker, text in enumerate(texts):
        different = differences(json.loads(texts[0]), json.loads(text))
        if different:
            key, first, other = different[0]
            raise ValueError(
                f"The workers were started differently: {key} is {first!r} for worker 0 and "
                f"{other!r} for worker {worker}. Start all with the same settings and data."
            )


def _gather(strategy: tf.distribute.Strategy, row: np.ndarray) -> np.ndarray:
    """[n] of each replica -> [replicas, n]."""

    @tf.function(autograph=False)
    def gather(value: tf.Tensor) -> tf.Tensor:
        def replica(value: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_gather(value[tf.newaxis], axis=0)

        return strategy.run(replica, args=(value,))

    return strategy.experimental_local_results(gather(tf.constant(row)))[0].numpy()
