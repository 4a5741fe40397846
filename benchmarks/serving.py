# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures the server under load, on loopback: batching, 64 clients, memory, invalid requests.

  python -m benchmarks.serving [--part=batching|load|memory] [--output=FILE]

The model is tiny and untrained: this measures the server, not the model.
"""

from __future__ import annotations

import dataclasses
import pathlib
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from absl import flags

from benchmarks.measure import print_result
from benchmarks.server_process import ServerProcess
from mmv_tf import publishing
from mmv_tf.deflation import deflate_naively
from mmv_tf.pretrained import create_model, preset_config
from mmv_tf.publishing.samples import sample_input
from mmv_tf.serving import check
from mmv_tf.serving.check import Inputs
from mmv_tf.serving.client import ServerError, connect
from mmv_tf.serving.servable import Servable
from mmv_tf.util import command_line
from mmv_tf.util.configuration import write_json

_PARTS = ("batching", "load", "memory")
_PART = flags.DEFINE_multi_enum("part", _PARTS, _PARTS, "Parts to run; may be repeated.")
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "Number of requests in part memory.")
_SECONDS = flags.DEFINE_float("seconds", 40.0, "Duration of part load in seconds.")

_WORDS = "red grey square circle moves stands sings falls left right up down".split()
_TOLERANCE = 1e-4
_BAD_SHARE = 20  # one request in this many is invalid


def main(argv: list[str]) -> None:
    """Run the parts, and print and write one line of JSON."""
    del argv
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        keras.utils.set_random_seed(0)
        folder = publish(pathlib.Path(directory))
        servable = Servable(folder)
        for part in _PART.value:
            results[part] = globals()[f"measure_{part}"](folder, servable)
            print(part, results[part], file=sys.stderr, flush=True)
    print_result(
        "serving",
        {"parts": _PART.value, "requests": _REQUESTS.value, "seconds": _SECONDS.value},
        **results,
    )
    if _OUTPUT.value:
        write_json(results, _OUTPUT.value)


def publish(directory: pathlib.Path) -> pathlib.Path:
    """Export an untrained model of a few thousand weights, all signatures; return its folder."""
    config = preset_config("s3d_fac")
    config.graph.update({"fine_dim": 16, "coarse_dim": 8, "hidden_dim": 16})
    config.video.update({"width": 0.0625, "blocks": (1, 1, 1), "stem": "rgb"})
    config.audio.update({"depth": 18, "width": 0.0625})
    config.text.update({"dim": 16, "max_words": 6})
    config.metadata.update({"num_frames": 4, "frame_rate": 5.0, "size": 32})
    vectors = np.random.default_rng(0).normal(size=(len(_WORDS), 6)).astype(np.float32)
    model = create_model(config, _WORDS, vectors)
    options = publishing.ExportOptions(video_jpeg=True, fold_batch_norms=True, checked=True)
    publishing.export(
        model, directory / "served", deflate_naively(model), options=options, model_name="tiny"
    )
    return directory / "served"


def make_requests(servable: Servable) -> dict[str, list[Inputs]]:
    """Return four one-row requests for every signature."""
    requests = {
        name: [{name: sample_input(name, servable.contract, seed)} for seed in range(4)]
        for name in servable.signatures
    }
    requests["text"] = [
        {"text": np.array([f"the {_WORDS[n]} {_WORDS[n + 4]}".encode()], dtype=object)}
        for n in range(4)
    ]
    return requests


def measure_batching(folder: pathlib.Path, servable: Servable) -> dict[str, Any]:
    """Measure requests per second of 32 gRPC clients, with and without batching, in turn."""
    requests = make_requests(servable)
    rates: dict[str, dict[bool, list[float]]] = {name: {} for name in ("text", "image")}
    for batching in (False, True) * 2:
        flag = f"--batching={str(batching).lower()}"
        with ServerProcess(folder, flag) as server:
            for name, found in rates.items():
                todo = [(name, inputs) for inputs in requests[name]]
                for total in (200, 2000):  # the first one warms up
                    load = check.measure_load(
                        lambda: connect(f"grpc://127.0.0.1:{server.grpc}", "tiny"), todo, 32, total
                    )
                found.setdefault(batching, []).append(load.per_second)
    return {
        name: {
            "single_per_second": max(found[False]),
            "batched_per_second": max(found[True]),
            "ratio": max(found[True]) / max(found[False]),
        }
        for name, found in rates.items()
    }


def measure_load(folder: pathlib.Path, servable: Servable) -> dict[str, Any]:
    """Run 64 clients over both protocols and all signatures; one request in twenty is invalid."""
    with ServerProcess(folder) as server:
        report = drive(server, servable, clients=64, seconds=_SECONDS.value)
        if not server.alive():
            raise RuntimeError("the server ended under load")
    return report


def measure_memory(folder: pathlib.Path, servable: Servable) -> dict[str, Any]:
    """Return MiB in use after each tenth of the requests."""
    sizes = []
    with ServerProcess(folder) as server:
        for _ in range(10):
            drive(server, servable, clients=16, total=_REQUESTS.value // 10)
            sizes.append(round(server.memory(), 1))
    return {"requests": _REQUESTS.value, "mebibytes": sizes, "growth": sizes[-1] - sizes[1]}


@dataclasses.dataclass
class Tally:
    """Counts of the clients' observations."""

    latencies: list[float] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def count(self, what: str) -> None:
        """Increment a count."""
        self.counts[what] = self.counts.get(what, 0) + 1


def drive(
    server: ServerProcess,
    servable: Servable,
    clients: int,
    seconds: float = float("inf"),
    total: int | None = None,
) -> dict[str, Any]:
    """Run clients that compare each response with the model's output."""
    requests = make_requests(servable)
    expected = {
        name: [servable.run(name, inputs) for inputs in some] for name, some in requests.items()
    }
    tally, lock = Tally(), threading.Lock()
    steps = iter(range(total)) if total is not None else iter(range(1 << 40))
    started = time.monotonic()
    numbers = iter(range(clients))

    def work() -> None:
        number = next(numbers)
        generator = random.Random(number)  # noqa: S311
        scheme, port = (("http", server.rest), ("grpc", server.grpc))[number % 2]
        client = connect(f"{scheme}://127.0.0.1:{port}", "tiny")
        while time.monotonic() - started < seconds:
            with lock:
                if next(steps, None) is None:
                    break
            outcome, took = ask(client, requests, expected, generator)
            with lock:
                tally.count(outcome)
                if outcome == "right":
                    tally.latencies.append(took)
        client.close()

    run_threads(work, clients)
    elapsed = time.monotonic() - started
    return {
        "clients": clients,
        "seconds": elapsed,
        "outcomes": dict(sorted(tally.counts.items())),
        "per_second": len(tally.latencies) / elapsed,
        "milliseconds": check.percentiles(tally.latencies),
    }


def ask(
    client: Any,
    requests: dict[str, list[Inputs]],
    expected: dict[str, list[Inputs]],
    generator: random.Random,
) -> tuple[str, float]:
    """Send one valid or invalid request; return the outcome and its time."""
    bad = generator.randrange(_BAD_SHARE) == 0
    name = generator.choice(sorted(requests))
    index = generator.randrange(len(requests[name]))
    inputs = requests[name][index]
    if bad:
        name, inputs = generator.choice(list(bad_requests(requests)))
    started = time.perf_counter()
    try:
        found = client.predict(name, inputs)
    except ServerError as error:
        refused = error.status in (400, "INVALID_ARGUMENT")
        busy = error.status in (503, "UNAVAILABLE")
        outcome = "refused, as is right" if bad and refused else f"refused: {error}"
        return ("busy" if busy else outcome), time.perf_counter() - started
    took = time.perf_counter() - started
    if bad:
        return f"a bad {name} request was answered", took
    for key, value in expected[name][index].items():
        got = found.get(key, found.get(""))
        if got is None or np.abs(got - value).max() > _TOLERANCE * np.abs(value).max():
            return f"wrong {name}", took
    return "right", took


def bad_requests(requests: dict[str, list[Inputs]]) -> Iterator[tuple[str, Inputs]]:
    """Yield requests rejected by the value checks, and one that only the model rejects."""
    yield "image", {"image": np.full((1, 32, 32, 3), np.nan, np.float32)}
    yield "audio", {"audio": np.full((1, 4000), 9.0, np.float32)}
    yield "text", {"text": np.array([b" "], dtype=object)}
    frames = requests["video_jpeg"][0]["video_jpeg"].copy()
    frames[0, 0] = frames[0, 0][:400]
    yield "video_jpeg", {"video_jpeg": frames}


def run_threads(work: Any, count: int) -> None:
    """Run a function in threads, and raise the first error."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


if __name__ == "__main__":
    command_line.run(main)
