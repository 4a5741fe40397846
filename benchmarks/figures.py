# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of `make benchmark`, their figures, and each figure's target and bottleneck.

All texts are in this module; docs/measurements/performance.md is generated from these texts and
the measured values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.collect import Run

Result = dict[str, Any]

# In execution order. ESC-10 (benchmarks/esc10.py) needs its data and is run manually.
RUNS: dict[str, Run] = {
    "start_up": Run("start_up"),
    "forward": Run("forward", torch=True),
    "forward_bfloat16": Run("forward", ("--dtype=bfloat16",), torch=True),
    "forward_tsm50": Run("forward", ("--architecture=tsm50", "--rounds=5"), torch=True),
    "train_step": Run("train_step", torch=True),
    "train_step_bfloat16": Run("train_step", ("--dtype=bfloat16",), torch=True),
    "frozen_step": Run("frozen_step"),
    "deflation": Run("deflation", ("--threads=1", "--rounds=5")),
    "deflation_tsm50": Run("deflation", ("--architecture=tsm50_fac", "--threads=1", "--rounds=3")),
    "read_data": Run("read_data"),
    "read_cached": Run("read_cached"),
    "write_data": Run("write_data"),
    "narrated_world": Run("projects.narrated_world.benchmark"),
    "retrieval": Run("retrieval"),
    "linear_svm": Run("linear_svm"),
    "inference": Run("inference"),
    "search_index": Run("search", ("--part=index",)),
    "search_query": Run("search", ("--part=query",)),
    "serving": Run("serving", ("--part=batching", "--part=load", "--seconds=20")),
    "training_loop": Run("training_loop"),
    "training_loop_s3d": Run(
        "training_loop",
        ("--architecture=s3d", "--batch_size=8", "--steps=5", "--only=plain", "--only=two"),
    ),
    "growth": Run("growth"),
    "input_and_gather": Run("input_and_gather"),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row of the table.

    Args:
      what: description of the figure.
      run: name of the run that measures it.
      value: function that extracts the value from the run's result; raises KeyError if it is
        missing (no PyTorch).
      bound: the bottleneck; if the target is missed, also what was tried.
      at_least, at_most: the target; at most one of them is set.
      unit: unit shown after the value.
    """

    what: str
    run: str
    value: Callable[[Result], float]
    bound: str
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "x"

    def met(self, value: float) -> bool:
        """Return whether a value reaches the target."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)


FIGURES = [
    Figure(
        "S3D-G forward, [1, 32, 224, 224, 3], exported, clips per second relative to PyTorch",
        "forward",
        lambda r: r["over_torch"],
        "convolutions, for which both programs use oneDNN: alone, they take 0.361 of 0.394 s, so "
        "that the ratio would be 1.32 without any other operation. Relative to eager PyTorch it is "
        "1.84. Tried: pointwise kernels as convolutions, which include bias and ReLU (kept, 2 %); "
        "Winograd's algorithm for spatial kernels, which would save 4 % of the CPU time (not kept)",
        at_least=1.35,
    ),
    Figure(
        "S3D-G forward, relative to its convolutions alone",
        "forward",
        lambda r: r["over_convolutions"],
        "in a profile (AMX): pooling 6 %, means and products of the gates 5 %, bias and ReLU after "
        "matrix products 2 %, concatenating branches 1.5 %",
        at_least=0.8,
    ),
    Figure(
        "S3D-G forward, relative to standard Keras layers",
        "forward",
        lambda r: r["over_keras"],
        "convolutions, which are the same in both",
    ),
    Figure(
        "S3D-G forward in bfloat16, relative to PyTorch",
        "forward_bfloat16",
        lambda r: r["over_torch"],
        "convolutions: alone, they take 0.183 of 0.203 s, so that the ratio would be 1.09 without "
        "any other operation (80 % of a profile; gates 9 %, pooling 8 %). On a processor with AMX, "
        "convolutions took 52 % of a profile, pooling 13 % and gates 12 %, and the ratio was 1.0, "
        "too: compiled PyTorch fuses such operations. Tried: storing weights in bfloat16, which "
        "avoids casts (kept, 7 %); fusing bias and ReLU with pointwise kernels (kept, 11 %); "
        "OpenVINO, see below",
        at_least=1.25,
    ),
    Figure(
        "TSM-ResNet-50 forward, same clip, relative to PyTorch",
        "forward_tsm50",
        lambda r: r["over_torch"],
        "convolutions: alone, they take 1.24 of 1.49 s, so that the ratio would be 1.61 without "
        "any other operation. In a profile, the shift, which also copies the channels that it does "
        "not shift, takes 16 %; batch norms at the start of a block, which can't be folded, with "
        "additions and ReLU 16 %",
        at_least=1.4,
    ),
    Figure(
        "training step, S3D-G, [4, 16, 112, 112, 3], relative to PyTorch",
        "train_step",
        lambda r: r["over_torch"],
        "convolutions take two thirds, and both programs use oneDNN for them; batch norm, pooling "
        "and small products gain little from a second core. Tried: pointwise convolutions as "
        "matrix products and batch norm fused with its ReLU (kept), pooling and spatial kernels as "
        "2-D operations, the BFC allocator, more inter-op threads (no gain)",
        at_least=1.35,
    ),
    Figure(
        "training step in bfloat16, relative to PyTorch",
        "train_step_bfloat16",
        lambda r: r["over_torch"],
        "not profiled; a guess: batch norm and casts of the weights",
        at_least=1.3,
    ),
    Figure(
        "FAC training step with frozen video and audio backbones, time relative to a full step",
        "frozen_step",
        lambda r: r["frozen_over_whole"],
        "the backbones' forward pass, which is a third of a step",
        at_most=0.45,
    ),
    Figure(
        "FAC training step with frozen backbones, peak process memory relative to a full step",
        "frozen_step",
        lambda r: r["memory_over_whole"],
        "TensorFlow, the weights, and the frame buffers of the forward pass",
        at_most=1.0,
    ),
    Figure(
        "FAC training step, time relative to the backbone alone",
        "train_step",
        lambda r: r["fac_over_tower"],
        "in a profile of a float32 step on a busy machine (1,062 ms compared with 817 ms), summed "
        "over all threads, FAC needs 178 ms more for convolutions, 150 for products, 100 for batch "
        "norms, 44 for the gradient norm and 25 for updates, since it has 3.9 times the weights, "
        "and 28 for additions. Tried for the norm of 36 M values: L2Loss, which is used, takes 26 "
        "ms by itself, a product with itself 24, sums of squares 38, L2Loss in eight pieces 41",
        at_most=1.35,
    ),
    Figure(
        "memory of a training step beyond the imported libraries, relative to PyTorch",
        "train_step",
        lambda r: r["step_bytes_over_torch"],
        "tensors kept for the backward pass, weights and gradients; not analyzed further",
        at_most=1.0,
    ),
    Figure(
        "peak memory of the whole training process, relative to PyTorch",
        "train_step",
        lambda r: r["process_bytes_over_torch"],
        "the libraries: importing TensorFlow alone takes 0.64 GB (0.38 of it mapped files), "
        "PyTorch 0.22; our own modules take 6 MB",
    ),
    Figure(
        "deflated S3D-G on an image, relative to the static clip",
        "deflation",
        lambda r: r["cpu_ratio"],
        "convolutions: with direct convolutions the ratio of multiplications is 20.3, since the "
        "stem halves the number of frames, and both run near the core's peak. The image's large "
        "3x3 convolutions use Winograd's algorithm, which the clip's do not",
        at_least=20.0,
    ),
    Figure(
        "deflated TSM-ResNet-50 on an image, relative to the static clip",
        "deflation_tsm50",
        lambda r: r["cpu_ratio"],
        "the ratio of multiplications is 36, or 32 with direct convolutions; not profiled",
        at_least=20.0,
    ),
    Figure(
        "reading training clips, relative to a plain tf.data pipeline",
        "read_data",
        lambda r: r["ours_over_plain"],
        "of 26 ms per clip (on one core), decoding takes 9.7, color 6.8, resizing 5.8, batching "
        "2.3, flipping 1.1 and parsing 1.0; the plain pipeline decodes and resizes whole frames",
        at_least=1.5,
    ),
    Figure(
        "reading training clips, time relative to only decoding the JPEGs",
        "read_data",
        lambda r: r["time_over_pixels"],
        "the work other than decoding moves 15 MB of floats per clip through memory. Tried without "
        "gain: a few frames at a time, matrix products, XLA, malloc settings; slower: "
        "crop_and_resize, ScaleAndTranslate. Outside the graph, reading is faster (next rows)",
        at_most=1.5,
    ),
    Figure(
        "reading with data.pixels=opencv, relative to the plain tf.data pipeline",
        "read_data",
        lambda r: r["opencv_over_plain"],
        "decoding, 8.6 of about 14.7 ms per clip; resizing takes 2.2, parsing 1.0, conversion to "
        "floats 0.8, color 0.5, flipping 0.2",
        at_least=1.5,
    ),
    Figure(
        "reading with data.pixels=opencv, time relative to only decoding the JPEGs",
        "read_data",
        lambda r: r["opencv_time_over_pixels"],
        "decoding; frames are decoded whole, since neither package supports libjpeg-turbo's "
        "partial decoding. Tried without gain: four channels (decoding takes 10.6 instead of 9.1 "
        "ms), lookup tables for floats",
        at_most=1.5,
    ),
    Figure(
        "reading training clips of an object store from a warm cache, relative to a local disk",
        "read_cached",
        lambda r: r["cached_over_local"],
        "a chunk's bytes are read and compared with their checksum in Python, and its records are "
        "copied once more",
        at_least=0.95,
    ),
    Figure(
        "writing shards, relative to decoding the videos to arrays with PyAV",
        "write_data",
        lambda r: r["write_over_arrays"],
        "of 16 ms per second of video, decoding and scaling take 9.4, JPEG 3.2, audio 2.2 and "
        "records 1.0",
        at_least=0.9,
    ),
    Figure(
        "generated clips per core-second, narrated world",
        "narrated_world",
        lambda r: r["clips_per_core_second"],
        "not profiled; a guess: NumPy's passes over video and audio",
        unit="",
    ),
    Figure(
        "ranks for 20,000 x 20,000, CPU time relative to a plain matrix product",
        "retrieval",
        lambda r: r["processor_ratio"],
        "the product, and work that grows with the number of items, not pairs; at 100,000 "
        "(--count=100000) the ratio falls to 1.17 x",
    ),
    Figure(
        "linear SVM, 20,000 x 1,024, 100 classes, C chosen from three values",
        "linear_svm",
        lambda r: r["total_seconds"],
        "choosing C, which took 47 of 59 s at 100,000 rows; a guess: matrix products over all "
        "classes",
        unit=" s",
    ),
    Figure(
        "indexing a video, CPU time relative to decoding and forward pass alone",
        "search_index",
        lambda r: r["ratio_cpu"],
        "decoding, which takes 15.3 of 17.5 s for a real video of ten minutes",
        at_most=1.25,
    ),
    Figure(
        "indexing a video with frames for image queries (the default), CPU time relative to none",
        "search_index",
        lambda r: r["frames_cpu"],
        "describing four frames per second of a film that is cheap to decode. Indexing ten minutes "
        "of a real film took 28.4 instead of 25.6 s, including startup",
    ),
    Figure(
        "released S3D-G with --dtype=mixed_bfloat16, clips per CPU second relative to float32",
        "inference",
        lambda r: r["clips_a_cpu_second_to_float32"]["mixed_bfloat16"],
        "the first layers, which the policy keeps in float32 and which take 60 to 70 % of a "
        "float32 forward pass, as the difference between this row and the next shows; and "
        "AVX512-BF16 multiplies at most twice as fast as float32. Tried: starting bfloat16 at the "
        "second, third and first layer gave 1.2 to 1.8 x, with cosines to float32 of 0.9988 to "
        "0.9974 instead of 0.9994 (random weights, a film)",
        at_least=2.5,
    ),
    Figure(
        "released S3D-G with --dtype=bfloat16, clips per CPU second relative to float32",
        "inference",
        lambda r: r["clips_a_cpu_second_to_float32"]["bfloat16"],
        "AVX512-BF16 multiplies at most twice as fast as float32; not profiled",
    ),
    Figure(
        "released S3D-G in OpenVINO with --dtype=bfloat16, clips per CPU second relative to "
        "TensorFlow's",
        "inference",
        lambda r: (
            r["clips_a_cpu_second_to_float32"]["openvino_bfloat16"]
            / r["clips_a_cpu_second_to_float32"]["bfloat16"]
        ),
        "convolutions, for which both use oneDNN. A model compiled for any batch size took 1.5 "
        "times as long as one compiled for each size (kept)",
        at_least=1.0,
    ),
    Figure(
        "released S3D-G in OpenVINO with 8-bit integers (mmv quantize), clips per CPU second "
        "relative to --dtype=bfloat16 in TensorFlow",
        "inference",
        lambda r: r["int8_to_bfloat16"],
        "not profiled; a guess: converting pixels to floats in NumPy. With the conversion in the "
        "graph, a trial at another frame size gave 2.0",
        at_least=1.7,
    ),
    Figure(
        "windows that overlap by half, released S3D-G with --dtype=bfloat16, windows per CPU "
        "second relative to separate clips",
        "inference",
        lambda r: r["overlapping_to_separate"]["bfloat16"],
        "the layers from the first gate on, two thirds of the work: a gate depends on the mean of "
        "a whole window, so nothing after it can be shared exactly. Sharing everything before it, "
        "including the first temporal convolution, would save at most a quarter of the time",
        at_least=1.6,
    ),
    Figure(
        "image query, S3D-G, time relative to one forward pass of a clip",
        "inference",
        lambda r: r["picture_to_pass"],
        "the forward pass; without a deflated model, an image is embedded as a static clip",
        at_most=1.5,
    ),
    Figure(
        "sentence query, S3D-G, 100,000 windows",
        "inference",
        lambda r: 1000 * r["sentence_seconds"],
        "not profiled; a guess: half is the text backbone, half is reading 100 MB of vectors",
        at_most=1000.0,
        unit=" ms",
    ),
    Figure(
        "exact search, 1,000,000 windows x 256",
        "search_query",
        lambda r: r["milliseconds"]["exact_ten_best"]["median"],
        "converting float16 to float32, and reading half a gigabyte; the same vectors in float32, "
        "a gigabyte, take as long and more CPU time",
        at_most=100.0,
        unit=" ms",
    ),
    Figure(
        "exact search, time relative to the matrix product alone in float32",
        "search_query",
        lambda r: (
            r["milliseconds"]["exact_ten_best"]["median"]
            / r["milliseconds"]["product_float32"]["median"]
        ),
        "the product; selecting the ten best windows takes the rest",
        at_most=1.2,
    ),
    Figure(
        "FAISS search of the same number of windows (clustered vectors)",
        "search_query",
        lambda r: r["milliseconds"]["faiss_ten_best"]["median"],
        "the number of clusters searched per query, which the indexer chooses for the target "
        "recall",
        unit=" ms",
    ),
    Figure(
        "FAISS search, recall at ten",
        "search_query",
        lambda r: r["faiss_recall"],
        "how clustered the vectors are: the recall is 0.42 if they hardly form clusters",
        at_least=0.95,
        unit="",
    ),
    Figure(
        "server with dynamic batching, relative to no batching, image requests",
        "serving",
        lambda r: r["batching"]["image"]["ratio"],
        "not profiled; a guess: decoding, and sharing the cores with the clients",
        at_least=1.5,
    ),
    Figure(
        "server with dynamic batching, relative to no batching, text requests",
        "serving",
        lambda r: r["batching"]["text"]["ratio"],
        "not profiled; a guess: handling requests in Python, which costs more than the tiny "
        "network",
        at_least=1.5,
    ),
    Figure(
        "training loop's overhead, share of a step",
        "training_loop",
        lambda r: 100 * r["overhead"],
        "not profiled; a guess: updating the metrics. Four runs with steps of 0.08 s measured 1.7, "
        "1.8, 2.2 and 3.5 %, one run with 0.19 s 1.1 %; negative values are noise",
        at_most=2.0,
        unit=" %",
    ),
    Figure(
        "deterministic training step, CPU time relative to a normal step",
        "training_loop",
        lambda r: r["deterministic"],
        "no measurable difference: 0.98 to 1.05 in three runs",
    ),
    Figure(
        "two training processes with one core each, relative to one with two cores, small network",
        "training_loop",
        lambda r: r["two_processes"],
        "96 exchanges of batch norm statistics, 0.37 ms each; the ratio was 0.35 x when each took "
        "0.9 ms and waited for the one before",
        at_least=0.8,
    ),
    Figure(
        "two training processes with one core each, relative to one with two cores, S3D-G FAC",
        "training_loop_s3d",
        lambda r: r["two_processes"],
        "in a profile, communication takes 28 % of a process's time: 143 MB of gradients through "
        "gRPC, 0.3 s, and 256 exchanges of batch norm statistics. Kept: gradients in packets, "
        "moments with one gather without waiting, Adam in one pass. Tried without gain: other "
        "malloc settings (1 %)",
        at_least=0.8,
    ),
    Figure(
        "`import mmv_tf`, time beyond `import tensorflow`",
        "start_up",
        lambda r: r["beyond_cpu_seconds"]["mmv_tf"],
        "our own modules take nine tenths (python -X importtime): those with layers, and what they "
        "import",
        at_most=0.3,
        unit=" s",
    ),
    Figure(
        "all public names of mmv_tf, time beyond `import tensorflow`",
        "start_up",
        lambda r: r["beyond_cpu_seconds"]["all names"],
        "our own modules; the rest is tensorboard, yaml and tqdm",
        at_most=0.5,
        unit=" s",
    ),
]
