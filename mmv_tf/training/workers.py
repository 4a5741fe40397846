# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Workers: distribution strategies, and checks that all workers do the same."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.util.configuration import differences

logger = logging.getLogger(__name__)


STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Return a `tf.distribute` strategy by its name.

    Args:
      name: "one_device" (the first accelerator, else the CPU); "mirrored" (every accelerator of
        this machine); "multi_worker" (every accelerator of several machines, each running this
        program, listed by TF_CONFIG or else SLURM's variables); "tpu" (the TPU that TPU_NAME
        names, or this machine's).

    Raises:
      ValueError: the name is unknown, or the machines or the TPU can't be found.
    """
    if name == "one_device":
        device = "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"
        return tf.distribute.OneDeviceStrategy(device)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return _multi_worker_strategy()
    if name == "tpu":
        return _tpu_strategy()
    raise ValueError(f"strategy is {name!r}; use one of {STRATEGIES}.")


def _multi_worker_strategy() -> tf.distribute.Strategy:
    resolver = find_cluster()
    workers = sum(map(len, resolver.cluster_spec().as_dict().values()))
    logger.info("Waiting until all %d workers have started.", workers)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"This worker can't join the others ({first_line}); check the addresses in TF_CONFIG, "
            "and that no other program listens on this worker's address."
        ) from error


# More tasks than any machine runs.
_PLENTY = 1 << 16


def find_cluster() -> Any:
    """Return the resolver that knows the workers and this worker's index.

    Raises:
      ValueError: the environment has neither TF_CONFIG nor SLURM's variables.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_STEP_NODELIST" in os.environ:
        if tf.config.list_physical_devices("GPU"):
            return tf.distribute.cluster_resolver.SlurmClusterResolver()
        # It assigns accelerators to tasks, and without accelerators it would find no task.
        return tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=_PLENTY, gpus_per_task=1, auto_set_gpu=False
        )
    raise ValueError(
        "The strategy 'multi_worker' needs a list of the workers: set TF_CONFIG, or start the "
        "program with srun."
    )


def _tpu_strategy() -> tf.distribute.Strategy:
    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"The TPU {name!r} can't be used ({first_line}); TPU_NAME selects it."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def worker_and_workers(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return the index of this process among those that train together, and their number.

    Worker 0 is the chief: it writes everything that is written only once.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    cluster = resolver.cluster_spec().as_dict()
    chiefs, workers = len(cluster.get("chief", ())), len(cluster.get("worker", ()))
    if not chiefs + workers:
        return 0, 1
    index = resolver.task_id if resolver.task_type == "chief" else chiefs + resolver.task_id
    return index, chiefs + workers


class WorkerLostError(ValueError):
    """Another worker died, so this one can't continue."""


@contextlib.contextmanager
def losses_explained(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn TensorFlow's errors about other workers into one clear error.

    Raises:
      WorkerLostError: another worker was killed, or has not responded for ten seconds,
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
            f"{_lost_worker(strategy, error.message or '')} no longer responds. Start all workers "
            "again; they resume from the last checkpoint."
        ) from error


def _lost_worker(strategy: tf.distribute.Strategy, message: str) -> str:
    """Return the worker that an error is about, if it names one other than this one."""
    chiefs = len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", ()))
    named = re.findall(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)", message)
    numbers = {int(task) + (chiefs if job == "worker" else 0) for job, task in named}
    numbers -= {worker_and_workers(strategy)[0]}
    if not numbers and "CoordinationService/Heartbeat" in message:
        return "Worker 0"  # the coordinator
    return f"Worker {numbers.pop()}" if len(numbers) == 1 else "Another worker"


def gather_texts(strategy: tf.distribute.Strategy, text: str) -> list[str]:
    """Return every worker's text, in worker order; all get the same list."""
    _, workers = worker_and_workers(strategy)
    if workers == 1:
        return [text]
    data = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    lengths = _gather(strategy, np.array([len(data)], np.int32))[:, 0]
    # TensorFlow crashes when it gathers rows without elements.
    padded = np.zeros(max(1, lengths.max()), np.int32)
    padded[: len(data)] = data
    rows = _gather(strategy, padded)
    texts = [
        bytes(row[:length].astype(np.uint8)).decode()
        for row, length in zip(rows, lengths, strict=True)
    ]
    # A worker has one row for each of its replicas.
    return texts[:: len(texts) // workers]


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Wait until all workers have called this."""
    if worker_and_workers(strategy)[1] > 1:
        _gather(strategy, np.zeros([1], np.int32))


def require_the_same(strategy: tf.distribute.Strategy, what: dict[str, Any]) -> None:
    """Compare the settings and data with which the workers were started.

    Args:
      strategy: the workers' strategy.
      what: settings and digests, as values that JSON supports.

    Raises:
      ValueError: on every worker, if a worker differs from the first; the message names the
        setting.
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
    """Gather int32 [n] from each replica into [replicas, n]."""
    gathered = _gatherer(strategy)(tf.constant(row))
    found: np.ndarray = strategy.experimental_local_results(gathered)[0].numpy()
    return found


@functools.cache
def _gatherer(strategy: tf.distribute.Strategy) -> Any:
    """Return `_gather`'s function, which is traced only once."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int32)])
    def gather(value: tf.Tensor) -> tf.Tensor:
        def replica(value: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_gather(value[tf.newaxis], axis=0)

        return strategy.run(replica, args=(value,))

    return gather
