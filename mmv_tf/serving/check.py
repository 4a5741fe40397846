# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks a server's answers against the model, and measures its speed."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.data import media
from mmv_tf.serving.client import Client, ServerError
from mmv_tf.serving.servable import Servable
from mmv_tf.util.progress import Progress

Inputs = dict[str, np.ndarray]
_SMALLEST = float(np.finfo(np.float32).tiny)
_TOO_LARGE = (413, "RESOURCE_EXHAUSTED")


def cut_clips(
    film: str | os.PathLike[str],
    contract: Mapping[str, Any],
    count: int,
    sentences: Sequence[str],
) -> dict[str, list[Inputs]]:
    """Return one-row requests for every signature, made from a video and sentences.

    Args:
      film: a video file with audio.
      contract: the model's contract; see `mmv_tf.publishing`.
      count: number of clips, evenly spaced.
      sentences: sentences; each makes one text request.

    Raises:
      ValueError: the video can't be read or is too short.
    """
    trained_at = contract["trained_at"]
    if not {"num_frames", "frame_rate", "size"} <= set(trained_at):
        raise ValueError("The model's folder does not state the training clips' settings.")
    sound_input = contract["signatures"].get("audio", {}).get("input", {})
    sample_rate = sound_input.get("sample_rate") or 48_000
    path = pathlib.Path(film)
    frames, rate = int(trained_at["num_frames"]), float(trained_at["frame_rate"])
    size, seconds = int(trained_at["size"]), frames / rate
    length = media.probe(path).duration
    if length < seconds:
        raise ValueError(
            f"{film} is {length:.1f} s long; this network needs clips of {seconds:.1f} s."
        )
    requests: dict[str, list[Inputs]] = {"video": [], "audio": [], "image": [], "video_jpeg": []}
    for start in np.linspace(0.0, max(0.0, length - seconds - 0.5), count):
        jpegs = [
            jpeg
            for _, jpeg in media.iter_frames(path, float(start), float(start) + seconds, rate, size)
        ][:frames]
        pixels = [
            tf.image.resize_with_crop_or_pad(tf.image.decode_jpeg(jpeg, 3), size, size)
            for jpeg in jpegs
        ]
        clip = tf.stack(pixels).numpy() / np.float32(255)
        sound = media.read_waveform(path, float(start), float(start) + seconds, sample_rate)
        requests["video"].append({"video": clip[np.newaxis]})
        requests["image"].append({"image": clip[:1]})
        requests["audio"].append({"audio": sound[np.newaxis]})
        requests["video_jpeg"].append({"video_jpeg": np.array([jpegs], dtype=object)})
    requests["text"] = [{"text": np.array([text.encode()], dtype=object)} for text in sentences]
    # Signatures with other names, such as a classifier's, use one of these inputs.
    described = {
        name: one["input"].get("name", name) for name, one in contract["signatures"].items()
    }
    return requests | {name: requests[kind] for name, kind in described.items() if kind in requests}


def largest_difference(
    client: Client, local: Servable, signature: str, requests: Sequence[Inputs]
) -> float:
    """Return the difference between the server and the local model, relative to the largest value.

    Raises:
      ValueError: the server lacks an output, or returns one of another shape.
    """
    worst = 0.0
    for inputs in requests:
        expected = local.run(signature, inputs)
        found = client.predict(signature, inputs)
        if list(found) == [""]:
            found = dict(zip(expected, found.values(), strict=True))
        if set(found) != set(expected):
            raise ValueError(f"{signature} returns {sorted(found)}; expected {sorted(expected)}.")
        for name, value in expected.items():
            if found[name].shape != value.shape:
                raise ValueError(
                    f"{signature}'s {name} has shape {found[name].shape}; expected {value.shape}."
                )
            if value.dtype == object:
                if not np.array_equal(found[name], value):
                    raise ValueError(
                        f"{signature}'s {name} has strings that differ from the model's."
                    )
                continue
            # An embedding may be all zeros, such as for a sentence without a known word before
            # training.
            size = max(float(np.abs(value).max()), _SMALLEST)
            worst = max(worst, float(np.abs(found[name] - value).max()) / size)
    return worst


@dataclasses.dataclass(frozen=True)
class Load:
    """Measurements with several clients.

    Attributes:
      clients: number of concurrent clients.
      requests: number of answered requests.
      refused: number of refused requests by status.
      per_second: answered requests per second.
      milliseconds: percentile ("p50", "p90", "p99", "max") -> latency.
    """

    clients: int
    requests: int
    refused: dict[str, int]
    per_second: float
    milliseconds: dict[str, float]


def measure_load(
    make_client: Callable[[], Client],
    requests: Sequence[tuple[str, Inputs]],
    clients: int,
    total: int,
) -> Load:
    """Send `total` requests from `clients` threads, each sending its next as soon as it can.

    Args:
      make_client: called in each thread.
      requests: (signature, inputs), sent in turn.
      clients: number of threads.
      total: number of requests.
    """
    lock = threading.Lock()
    latencies: list[float] = []
    refused: dict[str, int] = {}
    position = 0
    failures: list[BaseException] = []

    def work() -> None:
        nonlocal position
        client = make_client()
        try:
            while True:
                with lock:
                    if position >= total or failures:
                        return
                    signature, inputs = requests[position % len(requests)]
                    position += 1
                started = time.perf_counter()
                try:
                    client.predict(signature, inputs)
                except ServerError as error:
                    with lock:
                        refused[str(error.status)] = refused.get(str(error.status), 0) + 1
                    continue
                with lock:
                    latencies.append(time.perf_counter() - started)
        except BaseException as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    if failures:
        raise failures[0]
    return Load(clients, len(latencies), refused, len(latencies) / elapsed, percentiles(latencies))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return latencies in milliseconds; empty if there are none."""
    if len(seconds) == 0:
        return {}
    values = 1000 * np.percentile(seconds, [50, 90, 99, 100])
    return dict(zip(("p50", "p90", "p99", "max"), values.round(2).tolist(), strict=True))


def check_server(
    make_client: Callable[[], Client],
    local: Servable,
    requests: Mapping[str, Sequence[Inputs]],
    clients: Sequence[int],
    requests_each: int,
) -> dict[str, Any]:
    """Check every signature, then measure its speed for each number of clients.

    Args:
      make_client: opens a new connection.
      local: the same model, loaded here.
      requests: signature -> one-row requests.
      clients: numbers of clients to measure, one after another.
      requests_each: number of requests that each client sends.

    Returns:
      {"signatures": {name: {"difference": fraction, "load": [`Load` as a dict]}}}; for a
      signature whose requests are too large for the server, such as clips as JSON, {"too_large":
      message}.

    Raises:
      ValueError: the server refuses a request for another reason, or its answer has another form.
    """
    names = [name for name in local.signatures if requests.get(name)]
    report: dict[str, Any] = {}
    with Progress(len(names) * (1 + len(clients)), "check", "steps") as shown:
        for name in names:
            client = make_client()
            try:
                difference = largest_difference(client, local, name, requests[name])
            except ServerError as error:
                if error.status not in _TOO_LARGE:
                    raise ValueError(f"The server refused a request for {name}: {error}") from error
                report[name] = {"too_large": str(error)}
                shown.update(1 + len(clients))
                continue
            finally:
                client.close()
            shown.update(difference=difference)
            report[name] = {"difference": difference, "load": []}
            for count in clients:
                todo = [(name, inputs) for inputs in requests[name]]
                load = measure_load(make_client, todo, count, count * requests_each)
                report[name]["load"].append(dataclasses.asdict(load))
                shown.update()
    return {"signatures": report}


def format_report(report: dict[str, Any]) -> str:
    """Return a table with a row for each signature and number of clients."""
    lines = [
        f"{'signature':<12}{'difference':>11}{'clients':>9}{'per s':>9}{'p50 ms':>9}{'p90':>9}"
        f"{'p99':>9}  refused"
    ]
    for name, result in report["signatures"].items():
        if "too_large" in result:
            lines.append(f"{name:<12}not measured: {result['too_large']}")
            continue
        for load in result["load"]:
            latency = "".join(
                f"{load['milliseconds'].get(key, float('nan')):9.1f}"
                for key in ("p50", "p90", "p99")
            )
            refused = ", ".join(f"{n} x {status}" for status, n in load["refused"].items()) or "-"
            lines.append(
                f"{name:<12}{result['difference']:>11.1e}{load['clients']:>9}"
                f"{load['per_second']:>9.1f}{latency}  {refused}"
            )
    return "\n".join(lines)
