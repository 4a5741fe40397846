# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Simulates training on many hosts: readers, a bounded queue, synchronous steps and all-gathers.

  python -m benchmarks.input_and_gather [--hosts=64 --step_seconds=0.5]

Checks the estimate in docs/measurements/scaling.md: a step takes as long as reading or as
computation plus communication (bytes over bandwidth), whichever is longer. In the simulation, every
clip takes a random time to read, hosts wait for the slowest, and a ring passes its pieces on one at
a time. Nothing is measured: the rates are flags. Prints one line of JSON with the estimate and the
simulation, for models that are slower than, as fast as, and faster than reading.
"""

from __future__ import annotations

import heapq

import numpy as np
from absl import app, flags

from benchmarks.measure import print_result, rounded

_HOSTS = flags.DEFINE_integer("hosts", 16, "Number of hosts.", lower_bound=1)
_CLIPS = flags.DEFINE_integer("host_batch_size", 256, "Clips per host and step.", lower_bound=1)
_READERS = flags.DEFINE_integer("readers", 64, "Reading cores per host.", lower_bound=1)
_CORE_SECONDS = flags.DEFINE_float("core_seconds", 0.0258, "Time to read a clip (docs/reading.md).")
_STEP = flags.DEFINE_float("step_seconds", 0.25, "Time of a step without communication.")
_BANDWIDTH = flags.DEFINE_float("gigabytes", 12.5, "Network bandwidth of a host in GB per second.")
_LATENCY = flags.DEFINE_float("latency", 20e-6, "Latency of a message in seconds.")
_BYTES = flags.DEFINE_float("clip_bytes", 8192.0, "Bytes to all-gather per clip: its embeddings.")
_WEIGHTS = flags.DEFINE_float("parameters", 35.8e6, "Number of float32 gradients to all-reduce.")
_STEPS = flags.DEFINE_integer("steps", 60, "Simulated steps.", lower_bound=4)
_QUEUE = 2  # batches to read ahead


def communication(hosts: int) -> float:
    """Return the estimated seconds of a ring all-gather and an all-reduce of the gradients."""
    share = (hosts - 1) / hosts
    gathered = hosts * _CLIPS.value * _BYTES.value * share
    reduced = 2 * 4 * _WEIGHTS.value * share
    messages = (hosts - 1) * _LATENCY.value * 3
    return (gathered + reduced) / (1e9 * _BANDWIDTH.value) + messages


def expected(hosts: int, step: float) -> float:
    """Return the estimated seconds of a step."""
    reading = _CLIPS.value * _CORE_SECONDS.value / _READERS.value
    return max(step + communication(hosts), reading)


def ring(hosts: int, piece: float, generator: np.random.Generator) -> float:
    """Return the seconds until every host has every piece, after hosts - 1 rounds."""
    sends = piece / (1e9 * _BANDWIDTH.value) * generator.uniform(0.95, 1.05, (hosts - 1, hosts))
    return float((sends.max(axis=1) + _LATENCY.value).sum()) if hosts > 1 else 0.0


def simulated(hosts: int, step: float) -> float:
    """Return the simulated seconds of a step, from individual clips and messages."""
    generator = np.random.default_rng(0)
    ready = np.array([_batches(generator) for _ in range(hosts)])  # [hosts, steps]
    taken = np.zeros((hosts, _STEPS.value))
    now, delay = 0.0, np.zeros(hosts)
    ends = []
    for number in range(_STEPS.value):
        if number >= _QUEUE:
            # A full queue blocks the readers until a batch is removed.
            gap = ready[:, number] - ready[:, number - _QUEUE]
            earliest = taken[:, number - _QUEUE] + gap / _QUEUE
            delay = np.maximum(delay, earliest - ready[:, number])
        arrived = ready[:, number] + delay
        taken[:, number] = np.maximum(arrived, now)
        computed = taken[:, number] + step * generator.uniform(0.98, 1.02, hosts)
        now = float(computed.max())
        now += ring(hosts, _CLIPS.value * _BYTES.value, generator)
        # An all-reduce is a reduce-scatter and an all-gather of a host's share of the gradients.
        now += sum(ring(hosts, 4 * _WEIGHTS.value / hosts, generator) for _ in range(2))
        ends.append(now)
    half = _STEPS.value // 2
    return (ends[-1] - ends[half - 1]) / (_STEPS.value - half)


def _batches(generator: np.random.Generator) -> np.ndarray:
    """Return the times at which a host's readers would finish each batch if never blocked."""
    free = [0.0] * _READERS.value
    done = np.empty(_STEPS.value)
    for number in range(_STEPS.value):
        for seconds in generator.gamma(16, _CORE_SECONDS.value / 16, _CLIPS.value):
            done[number] = heapq.heapreplace(free, free[0] + seconds) + seconds
    return done


def main(argv: list[str]) -> None:
    """Simulate and print."""
    del argv
    reading = _CLIPS.value * _CORE_SECONDS.value / _READERS.value
    rows = []
    for name, step in (
        ("reads fast enough", _STEP.value),
        ("as fast as its reader", max(reading - communication(_HOSTS.value), 1e-3)),
        ("reads too slowly", reading / 4),
    ):
        formula, found = expected(_HOSTS.value, step), simulated(_HOSTS.value, step)
        rows.append(
            {
                "case": name,
                "step_seconds": rounded(step),
                "expected_seconds": rounded(formula),
                "simulated_seconds": rounded(found),
                "ratio": rounded(found / formula),
            }
        )
    inputs = {
        "hosts": _HOSTS.value,
        "clips": _CLIPS.value,
        "readers": _READERS.value,
        "core_seconds": _CORE_SECONDS.value,
        "gigabytes": _BANDWIDTH.value,
    }
    communicated = rounded(communication(_HOSTS.value))
    print_result("input_and_gather", inputs, communication_seconds=communicated, cases=rows)


if __name__ == "__main__":
    app.run(main)
