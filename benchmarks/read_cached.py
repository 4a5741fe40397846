# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares reading shards of an object store, from a warm cache, with reading them from a disk.

  python -m benchmarks.read_cached

The store is in this process' memory and answers at once; once every chunk is in the cache, nothing
is asked of it. Both variants read the same clips in the same order, in turn, in one process, with
the default settings of training, and are compared by the CPU time of all its threads. "records"
only reads the records, without decoding. Prints one line of JSON.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile
from collections.abc import Callable

import ml_collections
import tensorflow as tf
from absl import app, flags

from benchmarks.generated_shards import HEIGHT, RATE, WIDTH, write_shards
from benchmarks.measure import interleaved, print_result
from benchmarks.reading_cost import cpu_per_clip
from mmv_tf.data import Reader, default_config
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import ordering
from mmv_tf.data.reading.records import Records
from mmv_tf.util.storage.store import open_store
from mmv_tf.util.storage.urls import CACHE_VARIABLE

_CLIPS = flags.DEFINE_integer("num_clips", 96, "Different clips in the shards.", lower_bound=4)
_READ = flags.DEFINE_integer("read", 48, "Clips read per measurement.", lower_bound=4)
_ROUNDS = flags.DEFINE_integer("rounds", 9, "Measurements of each variant, in turn.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 5, "Epochs of records read per measurement.", lower_bound=1
)

_BATCH, _QUALITY = 4, 90
_URL = "memory://benchmark/data"


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    with tempfile.TemporaryDirectory(prefix="read_cached") as folder:
        os.environ[CACHE_VARIABLE] = str(pathlib.Path(folder, "cache"))
        directory = pathlib.Path(folder, "data")
        directory.mkdir()
        frame_bytes = write_shards(directory, _CLIPS.value, _QUALITY)
        store = open_store(_URL)
        for path in directory.iterdir():
            store.upload(path, path.name)
        places = {"local": str(directory), "cached": _URL}
        records = interleaved({name: _records(place) for name, place in places.items()}, 9)
        runs = {
            name: cpu_per_clip(
                Reader(_config(place), None, None).train(seed=0), _BATCH, _READ.value
            )
            for name, place in places.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(_ROUNDS.value):
            for name, run in runs.items():
                seconds[name].append(run())
    cost = {name: statistics.median(values) for name, values in seconds.items()}
    count = _CLIPS.value * _EPOCHS.value
    print_result(
        "read_cached",
        {
            "clip": f"{_config('').num_frames} frames of {WIDTH}x{HEIGHT}",
            "bytes_a_frame": round(frame_bytes),
        },
        cpu_seconds={name: round(value, 5) for name, value in cost.items()},
        clips_per_core_second={name: round(1 / value, 1) for name, value in cost.items()},
        cached_over_local=round(cost["local"] / cost["cached"], 3),
        records_per_second={name: round(count / t.seconds) for name, t in records.items()},
        records_per_core_second={name: round(count / t.cpu_seconds) for name, t in records.items()},
        rounds_ms={
            name: [round(1000 * value, 2) for value in values] for name, values in seconds.items()
        },
    )


def _config(place: str) -> ml_collections.ConfigDict:
    config = default_config()
    config.update(directory=place, batch_size=_BATCH, frame_rate=RATE, inspect="never")
    return config


def _records(place: str) -> Callable[[], None]:
    """Return a function that reads the records of some epochs, without decoding."""
    records = Records(_config(place), Limits(), None)
    count = _CLIPS.value * _EPOCHS.value
    dataset = ordering.epochs(records, 0).take(count)

    def run() -> None:
        read = sum(1 for _ in dataset.map(lambda *record: tf.strings.length(record[2])))
        if read != count:
            raise AssertionError(f"{read} records were read, expected {count}.")

    return run


if __name__ == "__main__":
    app.run(main)
