# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Uses of a model: training from shards, images in the deflated model, export, serving."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.generated_shards import RATE, write_shards
from benchmarks.gpu.parity import train_step
from benchmarks.gpu.report import Row
from benchmarks.gpu.series import Measure, Series
from benchmarks.gpu.work import NETWORKS, Setup, batch_of, clips_of, make, timed
from benchmarks.server_process import ServerProcess
from mmv_tf import publishing
from mmv_tf.data import Reader, default_config
from mmv_tf.deflation import deflate_naively
from mmv_tf.serving.client import connect

_NETWORK, _POLICY = "S3D-G", "mixed_bfloat16"
_CLIPS = 24  # in the shards
_PIXELS = ("tensorflow", "opencv")
_REQUESTS = 5


def uses(setup: Setup) -> Iterator[Series]:
    """Yield training from shards, export and serving, and images in the deflated models."""
    what: Row = {"part": "reading", "call": "FAC step", "network": _NETWORK}
    what |= {"batch": setup.common_batch, "cores": os.cpu_count()}
    cases = tuple({**what, "pixels": pixels} for pixels in _PIXELS)
    yield Series(cases, lambda: _reading(setup), chained=False)
    what = {"part": "export", "network": _NETWORK, "precision": "float32"}
    yield Series(tuple({**what, "call": call} for call in _EXPORTED), lambda: _exported(setup))
    for network in NETWORKS:
        what = {"part": "images", "network": network, "precision": "float32"}
        cases = ({**what, "batch": setup.common_batch},)
        yield Series(cases, lambda network=network: _images(network, setup))  # type: ignore[misc]


@contextlib.contextmanager
def _reading(setup: Setup) -> Iterator[Measure]:
    step = train_step(make(_NETWORK, setup, _POLICY), setup.device)
    batch, flags = batch_of(setup, setup.common_batch), tf.zeros([1])
    alone = timed(lambda: step(batch, flags), setup.calls).seconds
    with tempfile.TemporaryDirectory() as folder:
        write_shards(pathlib.Path(folder), _CLIPS)

        def measure(case: Row) -> Row:
            read = _reader(folder, case["pixels"], setup)
            # More calls, so that batches that were read ahead count little.
            reading = timed(read, 4 * setup.calls).seconds
            both = timed(lambda: step({**batch, "video": read()}, flags), setup.calls).seconds
            seconds = {"reading": reading, "step": alone, "both": both}
            return {
                **{f"{name}_clips_a_second": setup.common_batch / s for name, s in seconds.items()},
                "limited_by": "reading" if reading > alone else "the step",
            }

        yield measure


def _reader(folder: str, pixels: str, setup: Setup) -> Callable[[], tf.Tensor]:
    """Return a function that reads the next batch's video to the CPU's memory."""
    frames, size, _ = setup.clip
    config = default_config()
    config.update(directory=folder, batch_size=setup.common_batch, frame_rate=RATE)
    config.update(num_frames=frames, size=size, pixels=pixels)
    with tf.device("CPU:0"):
        clips = iter(Reader(config, None, None).train(seed=0))

    def read() -> tf.Tensor:
        with tf.device("CPU:0"):
            return next(clips)["video"]

    return read


@contextlib.contextmanager
def _images(network: str, setup: Setup) -> Iterator[Measure]:
    model: Any = make(network, setup)
    image_model = deflate_naively(model).folded()
    video = tf.function(lambda x: model.video(x, training=False), autograph=False)
    image = tf.function(lambda x: image_model(x)["before_head"], autograph=False)

    def measure(case: Row) -> Row:
        clips = clips_of(setup, case["batch"])
        pictures = clips[:, 0]
        clip_seconds = timed(lambda: video(clips), setup.calls).seconds
        image_seconds = timed(lambda: image(pictures), setup.calls).seconds
        return {
            "images_a_second": case["batch"] / image_seconds,
            "times_as_fast_as_a_clip": clip_seconds / image_seconds,
        }

    yield measure


@contextlib.contextmanager
def _exported(setup: Setup) -> Iterator[Measure]:
    """Export a model; compare a loaded SavedModel and a server's answers with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model"
        model = make(_NETWORK, setup)
        options = publishing.ExportOptions(modalities=("video",), fold_batch_norms=True)
        publishing.export(model, path / "1", options=options)
        clips = clips_of(setup, 1)
        expected = model({"video": clips}, training=False)["video"]["va"].numpy()

        def measure(case: Row) -> Row:
            return _EXPORTED[case["call"]](path, clips, expected, setup)

        yield measure


def _loaded(path: pathlib.Path, clips: tf.Tensor, expected: np.ndarray, setup: Setup) -> Row:
    call = tf.saved_model.load(str(path / "1")).signatures["video"]
    seconds = timed(lambda: call(video=clips)["va"], setup.calls).seconds
    found = call(video=clips)["va"].numpy()
    return {"milliseconds": 1000 * seconds, "difference": _difference(found, expected)}


def _served(path: pathlib.Path, clips: tf.Tensor, expected: np.ndarray, setup: Setup) -> Row:
    pixels = clips.numpy()
    # The server needs its own memory: by default, TensorFlow takes all of a GPU's memory.
    on_gpu = setup.device.startswith("GPU")
    environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if on_gpu else {}
    with ServerProcess(path, **environment) as server:
        client = connect(f"grpc://127.0.0.1:{server.grpc}", "tiny")
        try:
            found = client.predict("video", {"video": pixels})["va"]
            times = []
            for _ in range(_REQUESTS):
                start = time.perf_counter()
                client.predict("video", {"video": pixels})
                times.append(time.perf_counter() - start)
        finally:
            client.close()
    return {"milliseconds": 1000 * min(times), "difference": _difference(found, expected)}


_EXPORTED = {"SavedModel": _loaded, "server, gRPC": _served}


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference in units of the root mean square."""
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(expected**2)))
