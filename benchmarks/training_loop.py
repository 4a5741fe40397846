# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the training loop's overhead, and its speed with two processes.

  python -m benchmarks.training_loop                       # overhead, determinism, two processes
  python -m benchmarks.training_loop --data=DIR --word_vectors=FILE   # a real run's input too
  python -m benchmarks.training_loop --architecture=s3d --batch_size=8 --steps=5 --only=plain

Trains a FAC model on clips in memory: a small one (S3D-G at a quarter of the width on 8 x 64 x 64,
ResNet-18 at a quarter), or the paper's S3D-G model on 16 x 112 x 112. Each run is a separate
process. Prints one line of JSON:

    overhead         the loop's own share of a step: time between the ends of two steps minus that
                     of the bare step, which is taken in turn with it, over the bare step
    deterministic    CPU time of a step in deterministic mode over that without
    two_processes    clips a second of two processes under MultiWorkerMirrored with a core each,
                     over those of one process with two cores and the same global batch
    input_wait       share of time that a run of configs/quickstart.py waits for its input, once
                     warm
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.fac import fac_batch, fac_config
from benchmarks.measure import print_result
from mmv_tf import training
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model
from mmv_tf.training import experiment
from mmv_tf.training.logging import Watcher
from mmv_tf.training.random_state import seed_everything
from mmv_tf.training.trainer import Trainer
from mmv_tf.util.configuration import load_config
from projects import narrated_world
from projects.narrated_world.comparison import Comparison

_STEPS = flags.DEFINE_integer("steps", 20, "Measured steps per run.", lower_bound=2)
_BATCH = flags.DEFINE_integer("batch_size", 16, "Global batch size in clips.", lower_bound=2)
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Measurements per run.", lower_bound=1)
_NETWORK = flags.DEFINE_enum("architecture", "small", ["small", "s3d"], "Model to train.")
_RUNS = flags.DEFINE_multi_enum(
    "only", ["plain", "deterministic", "two"], ["plain", "deterministic", "two"], "Runs to measure."
)
_COMMON = flags.DEFINE_bool(
    "common_batch_statistics", True, "Batch norm over both processes (the training setting)."
)
_DATA = flags.DEFINE_string("data", "", "Shards for a real run, such as the quickstart's.")
_WORDS = flags.DEFINE_string("word_vectors", "", "Word vectors for the real run.")
# Flags of the child processes.
_RUN = flags.DEFINE_string("child", "", "Not for users: this process's run.")
_CORE = flags.DEFINE_integer("core", -1, "Not for users: its core; -1 for all.")

_WARM = 3  # steps until TensorFlow has traced the function and selected kernels
_ROOT = pathlib.Path(__file__).resolve().parents[1]


def _training() -> ml_collections.ConfigDict:
    config = training.default_config()
    config.steps = _WARM + _STEPS.value
    config.checkpoint_every_seconds = 3600.0
    config.common_batch_statistics = _COMMON.value
    config.deterministic = _RUN.value == "deterministic"
    return config


def _small(local: int) -> tuple[EmbeddingGraph, tf.data.Dataset]:
    """Return a small model, and batches of `local` clips for it."""
    config = load_config(str(_ROOT / "projects/narrated_world/config.py")).unlock()
    config.model.video.width = config.model.audio.width = 0.25
    config.world.size = 64
    comparison = Comparison(config)
    # A few repeated clips, since the learned weights do not matter.
    pool = narrated_world.make_pool(comparison.world(), np.arange(4 * _BATCH.value))
    return comparison.model("fac"), pool.train(0, local, 0, 5).take(2)


def _s3d(local: int) -> tuple[EmbeddingGraph, tf.data.Dataset]:
    """Return the paper's model, and batches of `local` clips for it."""
    batch = fac_batch([local, 16, 112, 112, 3])
    return create_model(fac_config()), tf.data.Dataset.from_tensors(batch)


def train() -> dict[str, float]:
    """Run training once on clips in memory, in this process."""
    config = _training()
    several = "TF_CONFIG" in os.environ
    strategy = training.make_strategy("multi_worker" if several else "one_device")
    seed_everything(0, config.deterministic)
    # Both workers read the same clips, since only the number of clips matters.
    local = _BATCH.value // strategy.num_replicas_in_sync
    with strategy.scope():
        model, dataset = {"small": _small, "s3d": _s3d}[_NETWORK.value](local)
    # Cached, so that making batches does not slow down the steps.
    dataset = dataset.cache().repeat()
    with tempfile.TemporaryDirectory() as directory:
        shared = pathlib.Path(os.environ.get("MMV_TF_BENCHMARK_FOLDER", directory))
        optimizer = training.default_optimizer_config()
        trainer = Trainer(model, strategy, config, optimizer, shared)
        return _measured(trainer, dataset)


def _measured(trainer: Trainer, dataset: tf.data.Dataset) -> dict[str, float]:
    """Time each step of the loop and, in a single process, the step alone after each."""
    loops: list[float] = []
    bare: list[float] = []
    processor: list[float] = []
    last: dict[str, Any] = {}
    take = trainer.train_step.__call__

    def watched(batch: Any, flags_: tf.Tensor) -> tf.Tensor:
        last.update(batch=batch, flags=flags_)
        return take(batch, flags_)

    # The loop runs its steps through this wrapper.
    trainer.train_step = _Recorder(trainer.train_step, watched)  # type: ignore[assignment]

    def after_each() -> dict[str, int]:
        now, used = time.perf_counter(), time.process_time()
        if "ended" in last:
            loops.append(now - last["ended"])
            processor.append(used - last["used"])
        if trainer.workers == 1:
            started = time.perf_counter()
            take(last["batch"], last["flags"]).numpy()
            bare.append(time.perf_counter() - started)
        last.update(ended=time.perf_counter(), used=time.process_time())
        return {}

    trainer.run(lambda *place: dataset, _BATCH.value, skipped=after_each, save_iterator=False)
    # The first interval begins after the first step.
    loops, processor = loops[_WARM - 1 :], processor[_WARM - 1 :]
    found = {
        "loop_seconds": statistics.median(loops),
        "processor_seconds": statistics.median(processor),
        "clips_per_second": _BATCH.value / statistics.median(loops),
    }
    if bare:
        steps = bare[_WARM:]
        pairs = [loop - step for loop, step in zip(loops, steps, strict=True)]
        found["bare_seconds"] = statistics.median(steps)
        found["overhead"] = statistics.median(pairs) / statistics.median(steps)
    return found


class _Recorder:
    """Train step whose call is replaced."""

    def __init__(self, step: Any, call: Any):
        self._step, self._call = step, call

    def __call__(self, batch: Any, flags_: tf.Tensor) -> tf.Tensor:
        return self._call(batch, flags_)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)


def real_run() -> dict[str, float]:
    """Return the share of time that a run with the quickstart's configuration waits for input."""
    config = load_config("quickstart").unlock()
    config.data.directory, config.word_vectors = _DATA.value, _WORDS.value
    config.data.split = "train+validation"  # like `make quickstart`
    config.training.steps = _WARM + _STEPS.value
    waits: list[tuple[float, float]] = []
    original = Watcher.after_step

    def record(self: Watcher, step: int, values: Any, waited: float) -> None:
        waits.append((time.perf_counter(), waited))
        original(self, step, values, waited)

    Watcher.after_step = record  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as directory:
        experiment.run(config.lock(), pathlib.Path(directory) / "run")
    warm = waits[_WARM:]
    seconds = warm[-1][0] - waits[_WARM - 1][0]
    share = sum(waited for _, waited in warm) / seconds
    return {"input_wait": share, "clips_per_second": config.data.batch_size * len(warm) / seconds}


def _start(run: str, core: int = -1, environment: dict[str, str] | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.training_loop", f"--child={run}", f"--core={core}"]
    command += [
        f"--steps={_STEPS.value}",
        f"--batch_size={_BATCH.value}",
        f"--architecture={_NETWORK.value}",
    ]
    command += [f"--common_batch_statistics={_COMMON.value}"]
    command += [f"--data={_DATA.value}", f"--word_vectors={_WORDS.value}"]
    clean = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
    return subprocess.Popen(
        command, cwd=_ROOT, env={**clean, **(environment or {})}, stdout=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen) -> dict[str, float]:
    text, _ = process.communicate()
    if process.returncode:
        sys.exit("error: a run ended before its time; see its message above.")
    return json.loads(text.splitlines()[-1])


def _two_processes() -> dict[str, float]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for index in range(2):
            task = {"type": "worker", "index": index}
            cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
            environment = {"TF_CONFIG": cluster, "MMV_TF_BENCHMARK_FOLDER": folder}
            workers.append(_start("worker", index, environment))
        first, _ = (_finish(worker) for worker in workers)
        return first


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    if _RUN.value:
        if _CORE.value >= 0:
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[_CORE.value]})
            tf.config.threading.set_intra_op_parallelism_threads(1)
        print(json.dumps(real_run() if _RUN.value == "real" else train()))
        return
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(_ROUNDS.value):
        for name in (*_RUNS.value, *(["real"] if _DATA.value else [])):
            found = _two_processes() if name == "two" else _finish(_start(name))
            runs.setdefault(name, []).append(found)

    def middle(name: str, value: str) -> float:
        return statistics.median(run[value] for run in runs[name])

    figures = {
        "bare_step_seconds": round(middle("plain", "bare_seconds"), 4),
        "overhead": round(middle("plain", "overhead"), 4),
    }
    for name, key, value in (
        ("deterministic", "deterministic", "processor_seconds"),
        ("two", "two_processes", "clips_per_second"),
    ):
        if name in runs:
            figures[key] = round(middle(name, value) / middle("plain", value), 3)
    if "real" in runs:
        figures["input_wait"] = round(middle("real", "input_wait"), 4)
        figures["real_clips_per_second"] = round(middle("real", "clips_per_second"), 1)
    inputs = {"network": _NETWORK.value, "clips": _BATCH.value, "steps": _STEPS.value}
    inputs["common_batch_statistics"] = _COMMON.value
    print_result("training_loop", inputs, **figures)


if __name__ == "__main__":
    app.run(main)
