# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Times embedding and querying with the released S3D-G's architecture.

  python -m benchmarks.inference

Measures these, each beside its peer in turn: clips in each precision (and in OpenVINO and its 8-bit
integers, where OpenVINO and NNCF are installed); windows of a video that overlap by half, as in
indexing, beside the same windows as separate clips; a query by an image file beside one pass of a
clip; a query by a sentence on an index of 100,000 windows. Weights are random, which does not
affect the time.
"""

from __future__ import annotations

import functools
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.generated_index import generated_index
from benchmarks.measure import Times, interleaved, print_result
from mmv_tf.graphs.precision import in_precision
from mmv_tf.inference import GraphNetwork, as_encoder
from mmv_tf.inference.openvino_network import OpenVinoNetwork
from mmv_tf.inference.quantization import quantize_video
from mmv_tf.pretrained import create_model
from mmv_tf.search import Embedder
from mmv_tf.search.queries import IMAGE, TEXT, Query, embed_query
from mmv_tf.search.view import View

_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds; in each, all runs take turns.", lower_bound=1)
_CLIPS = flags.DEFINE_integer("batch_size", 4, "Clips per batch.", lower_bound=1)
_PRECISIONS = ("mixed_bfloat16", "bfloat16")
_OVERLAPPING = ("float32", "bfloat16")
_WINDOWS = 100_000  # in the index
_DIM = 256  # of the coarse space (MMV, Alayrac et al., 2020)


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    words = [f"word{index}" for index in range(65_534)]
    model = create_model("s3d_fac", words)
    encoder = as_encoder(model)
    windows = encoder.windows()
    shape = (_CLIPS.value, windows.num_frames, windows.size, windows.size, 3)
    clips = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    networks = {"float32": encoder.network}
    for dtype in _PRECISIONS:
        networks[dtype] = as_encoder(in_precision(model, dtype)).network
    if importlib.util.find_spec("openvino") is not None:
        for dtype in ("float32", "bfloat16"):
            networks[f"openvino_{dtype}"] = OpenVinoNetwork(model, dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        if importlib.util.find_spec("nncf") is not None:
            quantized = pathlib.Path(folder) / "int8"
            quantize_video(GraphNetwork(model), _calibration(shape), quantized)
            networks["openvino_int8"] = OpenVinoNetwork(
                model, dtype="bfloat16", quantized=quantized
            )
        runs: dict[str, Callable[[], object]] = {
            name: functools.partial(network.run, "video", clips)
            for name, network in networks.items()
        }
        step = windows.num_frames // 2
        frames = clips.reshape(-1, *clips.shape[2:])[: (_CLIPS.value + 1) * step]
        starts = [step * index for index in range(_CLIPS.value)]
        for dtype in _OVERLAPPING:
            runs[f"{dtype}_overlapping"] = functools.partial(
                networks[dtype].run_windows, frames, starts, windows.num_frames
            )
        found = interleaved(runs, _ROUNDS.value)
        asked = _queries(Embedder(encoder, "generated"), clips[:1], pathlib.Path(folder))
    print_result(
        "inference",
        {"clips": list(shape), "index_windows": _WINDOWS, "index_dim": _DIM},
        {**found, **asked},
        cpu_seconds_a_clip={name: t.cpu_seconds / _CLIPS.value for name, t in found.items()},
        clips_a_cpu_second_to_float32={
            name: found["float32"].cpu_seconds / found[name].cpu_seconds
            for name in networks
            if name != "float32"
        },
        overlapping_to_separate={
            dtype: found[dtype].cpu_seconds / found[f"{dtype}_overlapping"].cpu_seconds
            for dtype in _OVERLAPPING
        },
        int8_to_bfloat16=(
            found["bfloat16"].cpu_seconds / found["openvino_int8"].cpu_seconds
            if "openvino_int8" in found
            else None
        ),
        sentence_seconds=asked["sentence"].seconds,
        picture_to_pass=asked["picture"].seconds / asked["pass"].seconds,
    )


def _calibration(shape: tuple[int, ...]) -> np.ndarray:
    """Return as few random clips as a quantizer accepts: the time does not depend on them."""
    return np.random.default_rng(1).integers(0, 256, (10, *shape[1:])).astype(np.uint8)


def _queries(embedder: Embedder, clip: np.ndarray, folder: pathlib.Path) -> dict[str, Times]:
    """Time queries in a running program."""
    picture = folder / "picture.png"
    picture.write_bytes(tf.io.encode_png(clip[0, 0]).numpy())
    view = View(generated_index(folder / "index", _WINDOWS, _DIM), 1)

    def sentence() -> None:
        asked = embed_query(Query(TEXT, "word5 word77 word1234"), embedder)
        view.search((asked,), 10, False)

    runs = {
        "sentence": sentence,
        "picture": lambda: embed_query(Query(IMAGE, str(picture)), embedder),
        "pass": lambda: embedder.clips(clip),
    }
    return interleaved(runs, _ROUNDS.value)


if __name__ == "__main__":
    app.run(main)
