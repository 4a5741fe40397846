# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Uses of a model: training from shards, images in the deflated model, export, serving."""

from __future__ import annotations

import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.generated_shards import RATE, write_shards
from benchmarks.gpu.parity import train_step
from benchmarks.gpu.work import (
    NETWORKS,
    Clock,
    Row,
    Sizes,
    batch_of,
    clips_of,
    make,
    seconds_a_call,
)
from benchmarks.server_process import ServerProcess
from mmv_tf import publishing
from mmv_tf.data import Reader, default_config
from mmv_tf.deflation import deflate_naively
from mmv_tf.serving.client import connect

_NETWORK, _POLICY = "S3D-G", "mixed_bfloat16"
_CLIPS = 24  # in the shards
_PIXELS = ("tensorflow", "opencv")
_REQUESTS = 5


def reading(sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Yield the speed of reading alone, and of training steps that wait for it."""
    with tempfile.TemporaryDirectory() as folder:
        write_shards(pathlib.Path(folder), _CLIPS)
        for pixels in _PIXELS:
            what = {"part": "reading", "call": "FAC step", "network": _NETWORK, "pixels": pixels}
            row = clock.measured(
                {**what, "batch": sizes.common_batch, "cores": os.cpu_count()},
                lambda pixels=pixels: _reading(folder, pixels, sizes),  # type: ignore[misc]
            )
            if row is not None:
                yield row


def _reading(folder: str, pixels: str, sizes: Sizes) -> Row:
    frames, size, _ = sizes.clip
    config = default_config()
    config.update(directory=folder, batch_size=sizes.common_batch, frame_rate=RATE)
    config.update(num_frames=frames, size=size, pixels=pixels)
    clips = iter(Reader(config, None, None).train(seed=0))
    step = train_step(make(_NETWORK, sizes, _POLICY))
    batch, flags = batch_of(sizes, sizes.common_batch), tf.zeros([1])

    def read() -> tf.Tensor:
        return next(clips)["video"]

    def both() -> tf.Tensor:
        return step({**batch, "video": read()}, flags)

    seconds = {
        "reading": seconds_a_call(read, sizes.calls),
        "step": seconds_a_call(lambda: step(batch, flags), sizes.calls),
        "both": seconds_a_call(both, sizes.calls),
    }
    return {
        **{f"{name}_clips_a_second": sizes.common_batch / s for name, s in seconds.items()},
        "limited_by": "reading" if seconds["reading"] > seconds["step"] else "the step",
    }


def images(sizes: Sizes, clock: Clock) -> Iterator[Row]:
    """Yield the deflated model's images per second, compared with static clips."""
    for name in NETWORKS:
        what = {"part": "images", "network": name, "precision": "float32"}
        row = clock.measured(
            {**what, "batch": sizes.common_batch},
            lambda name=name: _images(name, sizes),  # type: ignore[misc]
        )
        if row is not None:
            yield row


def _images(name: str, sizes: Sizes) -> Row:
    model = make(name, sizes)
    image_model = deflate_naively(model).folded()
    clips = clips_of(sizes, sizes.common_batch)
    pictures = clips[:, 0]
    video = tf.function(lambda x: model.video(x, training=False), autograph=False)
    image = tf.function(lambda x: image_model(x)["before_head"], autograph=False)
    clip_seconds = seconds_a_call(lambda: video(clips), sizes.calls)
    image_seconds = seconds_a_call(lambda: image(pictures), sizes.calls)
    return {
        "images_a_second": sizes.common_batch / image_seconds,
        "times_as_fast_as_a_clip": clip_seconds / image_seconds,
    }


def exported(sizes: Sizes, clock: Clock, on_gpu: bool) -> Iterator[Row]:
    """Yield the agreement of a loaded SavedModel, and of a server's responses, with the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model"
        clips = clips_of(sizes, 1)
        expected: list[np.ndarray] = []

        def export() -> Row:
            model = make(_NETWORK, sizes)
            options = publishing.ExportOptions(modalities=("video",), fold_batch_norms=True)
            publishing.export(model, path / "1", options=options)
            expected.append(model({"video": clips}, training=False)["video"]["va"].numpy())
            loaded = tf.saved_model.load(str(path / "1"))
            call = loaded.signatures["video"]
            seconds = seconds_a_call(lambda: call(video=clips)["va"], sizes.calls)
            found = call(video=clips)["va"].numpy()
            return {"milliseconds": 1000 * seconds, "difference": _difference(found, expected[0])}

        what = {"part": "export", "network": _NETWORK, "precision": "float32"}
        row = clock.measured({**what, "call": "SavedModel"}, export)
        if row is None or "problem" in row:
            yield from [row] if row else []
            return
        yield row
        # The server needs its own memory: by default, TensorFlow takes all of a GPU's memory.
        environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if on_gpu else {}
        row = clock.measured(
            {**what, "call": "server, gRPC"},
            lambda: _served(path, clips.numpy(), expected[0], environment),
        )
        if row is not None:
            yield row


def _served(
    path: pathlib.Path, clips: np.ndarray, expected: np.ndarray, environment: dict[str, str]
) -> Row:
    with ServerProcess(path, **environment) as server:
        client = connect(f"grpc://127.0.0.1:{server.grpc}", "tiny")
        try:
            found = client.predict("video", {"video": clips})["va"]
            times = []
            for _ in range(_REQUESTS):
                start = time.perf_counter()
                client.predict("video", {"video": clips})
                times.append(time.perf_counter() - start)
        finally:
            client.close()
    return {"milliseconds": 1000 * min(times), "difference": _difference(found, expected)}


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference in units of the root mean square."""
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(expected**2)))
