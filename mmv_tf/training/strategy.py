# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where training runs: one device, all of a machine's, several machines', or a TPU."""

from __future__ import annotations

import logging
import os
from typing import Any

import tensorflow as tf

logger = logging.getLogger(__name__)

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str) -> tf.distribute.Strategy:
    """A `tf.distribute` strategy by its name.

    Args:
      name: "one_device" (the first accelerator, else the processor); "mirrored" (every accelerator
        of this machine); "multi_worker" (every accelerator of several machines, each running this
        program; who they are is read from TF_CONFIG, or else from SLURM's variables); "tpu" (the
        one that TPU_NAME names, or this machine's).

    Raises:
      ValueError: for another name, or if the machines or the TPU can't be found.
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
            "and that no other program listens on this worker's."
        ) from error


# More tasks than any machine runs.
_PLENTY = 1 << 16


def find_cluster() -> Any:
    """The resolver that knows the workers and which of them this is.

    Raises:
      ValueError: if the environment says neither.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_STEP_NODELIST" in os.environ:
        if tf.config.list_physical_devices("GPU"):
            return tf.distribute.cluster_resolver.SlurmClusterResolver()
        # It deals out accelerators to tasks, and without any it would find no task.
        return tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=_PLENTY, gpus_per_task=1, auto_set_gpu=False
        )
    raise ValueError(
        "The strategy 'multi_worker' needs to know the workers: set TF_CONFIG, or start the "
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
            f"The TPU {name!r} can't be used ({first_line}); TPU_NAME says which to use."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def worker_and_workers(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The index of this process among those that train together, and their number.

    Worker 0 is the chief: it writes what is written once.
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
