# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how the cost of S3D-G grows with the number of clips, frames, pixels and processes.

  python -m benchmarks.growth

Forward passes use the folded backbone; all sizes run in turn. Training steps are the same as in
`benchmarks.train_step`, with a separate process for each size. With several processes, each has
one thread and runs its own forward passes, all at the same time. Prints one line of JSON.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any

import tensorflow as tf
from absl import app, flags

from benchmarks.collect import Run, run_program
from benchmarks.measure import interleaved, print_result, rounded
from mmv_tf import backbones
from mmv_tf.publishing.serving_weights import ServingWeights

_ROUNDS = flags.DEFINE_integer("rounds", 3, "Measured rounds.", lower_bound=1)
_SMALL = flags.DEFINE_bool("small", False, "Use tiny sizes, to check that everything runs.")

# Clips, frames, height and width; later rows are compared with the first.
_FORWARD = [(1, 32, 224), (2, 32, 224), (4, 32, 224), (1, 16, 224), (1, 64, 224), (1, 32, 112)]
_STEPS = [(4, 16, 112), (8, 16, 112), (16, 16, 112), (4, 32, 112), (4, 16, 224)]
_TINY = [(1, 2, 32), (2, 2, 32)]


def make_forward() -> Any:
    """Return the folded backbone, for clips of any size."""
    tower = backbones.S3D(stem="space_to_depth")
    tower.build()
    weights = ServingWeights([tower], fold=True, dtype="float32")

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, None, 3])])
    def run(clips: tf.Tensor) -> tf.Tensor:
        with weights.scope():
            return tower(clips)

    return run


def forward_passes(sizes: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Measure a row for each size."""
    run = make_forward()
    clips = {size: tf.zeros([size[0], size[1], size[2], size[2], 3]) for size in sizes}
    runs = {str(size): lambda size=size: run(clips[size]).numpy() for size in sizes}
    times = interleaved(runs, _ROUNDS.value, warm=2)
    return [_row(size, *times[str(size)]) for size in sizes]


def steps(sizes: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Measure a row for each size."""
    rows = []
    for count, frames, size in sizes:
        sizes_of = (f"--batch_size={count}", f"--num_frames={frames}", f"--size={size}")
        options = (*sizes_of, f"--steps={_ROUNDS.value}", "--nofac", "--torch_python=none")
        found = run_program(Run("train_step", options).command(), 600.0)
        times = (found["seconds"]["tower"], found["cpu_seconds"]["tower"])
        row = _row((count, frames, size), *times)
        rows.append({**row, "peak_bytes": found["peak_bytes"]["tower"]})
    return rows


def _row(size: tuple[int, int, int], seconds: float, cpu_seconds: float) -> dict[str, Any]:
    count, frames, pixels = size
    # Amount of input: 1 for a clip of 32 x 224 x 224.
    work = count * frames * pixels**2 / (32 * 224**2)
    return {
        "clips": count,
        "frames": frames,
        "size": pixels,
        "seconds": rounded(seconds),
        "cpu_seconds": rounded(cpu_seconds),
        "clips_per_second": rounded(count / seconds),
        "seconds_per_large_clip": rounded(seconds / work),
    }


def processes(size: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Measure one process with all cores, and one process per core with one thread each."""
    cores = len(os.sched_getaffinity(0))
    rows = []
    for count in dict.fromkeys((1, cores)):
        context = multiprocessing.get_context("spawn")
        barrier, queue = context.Barrier(count), context.Queue()
        arguments = (barrier, queue, 0 if count == 1 else 1, size, 2 * _ROUNDS.value)
        workers = [context.Process(target=_work, args=arguments) for _ in range(count)]
        for worker in workers:
            worker.start()
        rates = [queue.get(timeout=300) for _ in workers]
        for worker in workers:
            worker.join()
        rows.append({"processes": count, "clips_per_second": rounded(sum(rates))})
    return rows


def _work(barrier: Any, queue: Any, threads: int, size: tuple[int, int, int], rounds: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    run, clips = make_forward(), tf.zeros([size[0], size[1], size[2], size[2], 3])
    for _ in range(2):
        run(clips).numpy()
    barrier.wait(timeout=300)
    started = time.perf_counter()
    for _ in range(rounds):
        run(clips).numpy()
    queue.put(rounds * size[0] / (time.perf_counter() - started))


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    forward, trained = (_TINY, [(2, 2, 32)]) if _SMALL.value else (_FORWARD, _STEPS)
    print_result(
        "growth",
        {"network": "s3dg", "dtype": "float32", "rounds": _ROUNDS.value},
        forward=forward_passes(forward),
        steps=steps(trained),
        processes=processes(forward[0]),
    )


if __name__ == "__main__":
    app.run(main)
