# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of `make benchmark`, their figures, the targets, and what limits the figures.

Only this module has such texts; docs/measurements/performance.md is made from them and from the
numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.collect import Run

Result = dict[str, Any]

# In this order. ESC-10 (benchmarks/esc10.py) needs its data and is run by hand.
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
    """Line of the table.

    Args:
      what: description in words.
      run: name of the run that it comes from.
      value: function from that run's result; raises KeyError if it is missing (no peer).
      bound: what limits it; where the target is missed, also what was tried.
      at_least, at_most: the target; neither if there is none.
      unit: unit behind the number.
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
        "S3D-G forward, [1, 32, 224, 224, 3], exported, clips a second over PyTorch's",
        "forward",
        lambda r: r["over_torch"],
        "convolutions and matrix products, 84 % of it by a profile: 36.3 billion multiplications a "
        "clip at 150 billion a second, where a 4,096 x 4,096 product reaches 177. PyTorch compiled "
        "with channels last does the whole network at 111: twice that is more than this processor "
        "multiplies. Over eager PyTorch it was 2.04. Tried: pointwise kernels as convolutions, "
        "which take bias and ReLU in (kept, 2 %)",
        at_least=2.0,
    ),
    Figure(
        "the same over its convolutions alone",
        "forward",
        lambda r: r["over_convolutions"],
        "the rest of that profile: pooling 6 %, the gates' means and products 5 %, bias and "
        "ReLU after matrix products 2 %, joining branches 1.5 %",
        at_least=0.8,
    ),
    Figure(
        "the same over stock Keras layers",
        "forward",
        lambda r: r["over_keras"],
        "convolutions, which are the same in both",
    ),
    Figure(
        "the same in bfloat16 over PyTorch's",
        "forward_bfloat16",
        lambda r: r["over_torch"],
        "by a profile convolutions and matrix products are only 52 %; pooling is 13 %, the "
        "gates' means and products 12 %; PyTorch compiled fuses such passes (over eager PyTorch "
        "1.8). Tried: weights stored in bfloat16, which saves casts (kept, 7 %); bias and ReLU "
        "fused with pointwise kernels (kept, 11 %)",
        at_least=1.8,
    ),
    Figure(
        "TSM-ResNet-50 forward, same clip, over PyTorch's",
        "forward_tsm50",
        lambda r: r["over_torch"],
        "by a profile convolutions and matrix products are 66 %; the shift, which copies what "
        "it does not shift too, 16 %; batch norms at a block's start, which can't be folded, "
        "with additions and ReLU 16 %",
        at_least=1.3,
    ),
    Figure(
        "training step, S3D-G, [4, 16, 112, 112, 3], over PyTorch's",
        "train_step",
        lambda r: r["over_torch"],
        "convolutions are two thirds and both programs use oneDNN's; batch norm, pooling and "
        "small products gain little from a second core. Tried: pointwise convolutions as "
        "matrix products and batch norm fused with its ReLU (kept), pooling and spatial "
        "kernels in 2-D steps, the BFC allocator, more threads between operations (no gain)",
        at_least=1.3,
    ),
    Figure(
        "the same in bfloat16",
        "train_step_bfloat16",
        lambda r: r["over_torch"],
        "not profiled; a guess: batch norm and casts of the weights",
        at_least=1.15,
    ),
    Figure(
        "a step of the FAC model with frozen video and audio backbones over a whole one, seconds",
        "frozen_step",
        lambda r: r["frozen_over_whole"],
        "the backbones' forward pass, which is a third of a step",
        at_most=0.45,
    ),
    Figure(
        "the same in peak memory of the process",
        "frozen_step",
        lambda r: r["memory_over_whole"],
        "TensorFlow, the weights, and the frame buffers of the forward pass",
        at_most=1.0,
    ),
    Figure(
        "a step of the whole FAC model over the backbone's, seconds",
        "train_step",
        lambda r: r["fac_over_tower"],
        "by a profile of a float32 step on a busy machine (1,062 against 817 ms), in time of all "
        "threads: convolutions 178, products 150 and batch norms 100 ms more; the gradients' "
        "norm 44 and updates 25 more, since there are 3.9 times the weights; additions 28. Tried "
        "for the norm of 36 M numbers: L2Loss as it is 26 ms alone, a product with itself 24, "
        "sums of squares 38, L2Loss in eight pieces 41",
        at_most=1.35,
    ),
    Figure(
        "memory that a training step adds to the imported libraries', over PyTorch's",
        "train_step",
        lambda r: r["step_bytes_over_torch"],
        "what the backward pass keeps, weights and gradients; not taken apart",
        at_most=1.0,
    ),
    Figure(
        "peak memory of the whole training process, over PyTorch's",
        "train_step",
        lambda r: r["process_bytes_over_torch"],
        "the libraries: TensorFlow's import alone takes 0.64 GB (0.38 of it mapped files), "
        "PyTorch's 0.22; of ours 6 MB",
    ),
    Figure(
        "deflated S3D-G on an image against the static clip",
        "deflation",
        lambda r: r["cpu_ratio"],
        "convolutions: with direct ones the ratio of multiplications is 20.3, half of the frames "
        "being gone after the stem, and both run at nearly what the core can do. The image's large "
        "3x3 convolutions go by Winograd's method, which the clip's do without",
        at_least=20.0,
    ),
    Figure(
        "deflated TSM-ResNet-50 likewise",
        "deflation_tsm50",
        lambda r: r["cpu_ratio"],
        "the ratio of multiplications is 36, 32 with direct convolutions; not profiled",
        at_least=20.0,
    ),
    Figure(
        "reading training clips over a plain tf.data pipeline",
        "read_data",
        lambda r: r["ours_over_plain"],
        "of 26 ms a clip (of one core) decoding takes 9.7, color 6.8, resizing 5.8, batching "
        "2.3, flipping 1.1, parsing 1.0; the plain pipeline decodes and resizes whole frames",
        at_least=1.5,
    ),
    Figure(
        "reading against decoding the same JPEGs alone, seconds",
        "read_data",
        lambda r: r["time_over_pixels"],
        "the same: what is not decoding moves 15 MB of floats a clip through memory. Tried "
        "without gain: a few frames at a time, matrix products, XLA, malloc's settings; "
        "slower: crop_and_resize, ScaleAndTranslate. Outside of the graph it is faster: below",
        at_most=1.5,
    ),
    Figure(
        "reading with data.pixels=opencv over the plain tf.data pipeline",
        "read_data",
        lambda r: r["opencv_over_plain"],
        "decoding, 8.6 of some 14.7 ms a clip; resizing takes 2.2, parsing 1.0, floats 0.8, color "
        "0.5, flipping 0.2",
        at_least=1.5,
    ),
    Figure(
        "the same against decoding the JPEGs alone, seconds",
        "read_data",
        lambda r: r["opencv_time_over_pixels"],
        "the same; frames are decoded whole: neither package offers libjpeg-turbo's windows. "
        "Tried without gain: four channels (decoding 10.6 for 9.1 ms), lookup tables for floats",
        at_most=1.5,
    ),
    Figure(
        "writing shards over decoding the videos to arrays with PyAV",
        "write_data",
        lambda r: r["write_over_arrays"],
        "of 16 ms for a second of video decoding and scaling take 9.4, JPEG 3.2, audio 2.2, "
        "records 1.0",
        at_least=0.9,
    ),
    Figure(
        "generated clips a core-second, narrated world",
        "narrated_world",
        lambda r: r["clips_per_core_second"],
        "not profiled; a guess: NumPy's passes over video and audio",
        unit="",
    ),
    Figure(
        "ranks of 20,000 x 20,000 against a plain matrix product, processor time",
        "retrieval",
        lambda r: r["processor_ratio"],
        "the product, and what grows with items and not with pairs; at 100,000 "
        "(--count=100000) that fades to 1.17 x",
    ),
    Figure(
        "linear SVM, 20,000 x 1,024, 100 classes, C chosen of three",
        "linear_svm",
        lambda r: r["total_seconds"],
        "choosing C, which at 100,000 rows took 47 of 59 s; a guess: matrix products over all "
        "classes",
        unit=" s",
    ),
    Figure(
        "indexing a video over decoding and forward pass alone, processor time",
        "search_index",
        lambda r: r["ratio_cpu"],
        "decoding: 15.3 of 17.5 s for a real video of ten minutes",
        at_most=1.25,
    ),
    Figure(
        "the released S3D-G at --dtype=mixed_bfloat16 over float32, clips a processor-second",
        "inference",
        lambda r: r["clips_a_cpu_second_to_float32"]["mixed_bfloat16"],
        "the first layers, which the policy keeps in float32 and which are 60 to 70 % of a float32 "
        "pass by the difference of these two figures; and AVX512-BF16 multiplies twice as fast as "
        "float32 at best. Tried: bfloat16 from the second, third and first layer on, 1.2 to 1.8 x "
        "at cosines with float32 of 0.9988 to 0.9974 in place of 0.9994 (random weights, a film)",
        at_least=2.5,
    ),
    Figure(
        "the same at --dtype=bfloat16",
        "inference",
        lambda r: r["clips_a_cpu_second_to_float32"]["bfloat16"],
        "AVX512-BF16 multiplies twice as fast as float32 at best; not profiled",
    ),
    Figure(
        "a query by an image over one pass of a clip, S3D-G, seconds",
        "inference",
        lambda r: r["picture_to_pass"],
        "the pass; without a deflated model an image is embedded as a static clip",
        at_most=1.5,
    ),
    Figure(
        "a query by a sentence, S3D-G, 100,000 windows",
        "inference",
        lambda r: 1000 * r["sentence_seconds"],
        "not profiled; a guess: half each for the text backbone and for reading 100 MB of vectors",
        at_most=1000.0,
        unit=" ms",
    ),
    Figure(
        "exact search, 1,000,000 windows x 256",
        "search_query",
        lambda r: r["milliseconds"]["exact_ten_best"]["median"],
        "turning float16 into float32, and reading half a gigabyte; the same numbers in float32, a "
        "gigabyte, take as long and more of the processor",
        at_most=100.0,
        unit=" ms",
    ),
    Figure(
        "the same over the bare matrix product in float32, seconds",
        "search_query",
        lambda r: (
            r["milliseconds"]["exact_ten_best"]["median"]
            / r["milliseconds"]["product_float32"]["median"]
        ),
        "the product; the ten best take the rest",
        at_most=1.2,
    ),
    Figure(
        "FAISS on them (clustered vectors)",
        "search_query",
        lambda r: r["milliseconds"]["faiss_ten_best"]["median"],
        "how many clusters a query reads, which the indexer chooses for the wanted recall",
        unit=" ms",
    ),
    Figure(
        "its recall at ten",
        "search_query",
        lambda r: r["faiss_recall"],
        "how clustered the vectors are: 0.42 where they hardly are",
        at_least=0.95,
        unit="",
    ),
    Figure(
        "server, dynamic batching over none, image requests",
        "serving",
        lambda r: r["batching"]["image"]["ratio"],
        "not profiled; a guess: decoding, and that clients and server share the cores",
        at_least=1.5,
    ),
    Figure(
        "server, dynamic batching over none, text requests",
        "serving",
        lambda r: r["batching"]["text"]["ratio"],
        "not profiled; a guess: handling requests in Python, which costs more than the tiny "
        "network",
        at_least=1.5,
    ),
    Figure(
        "training loop's own share of a step",
        "training_loop",
        lambda r: 100 * r["overhead"],
        "not profiled; a guess: bookkeeping of metrics. Four runs with steps of 0.08 s gave 1.7, "
        "1.8, 2.2 and 3.5 %, one with 0.19 s 1.1 %; values below zero are noise",
        at_most=2.0,
        unit=" %",
    ),
    Figure(
        "a deterministic step over a plain one, processor time",
        "training_loop",
        lambda r: r["deterministic"],
        "nothing to be seen: 0.98 to 1.05 in three runs",
    ),
    Figure(
        "two training processes with a core each over one with two, small network",
        "training_loop",
        lambda r: r["two_processes"],
        "96 exchanges of batch norm, 0.37 ms each; it was 0.35 x when they took 0.9 ms and one "
        "waited for the other",
        at_least=0.8,
    ),
    Figure(
        "two training processes with a core each over one with two, S3D-G FAC",
        "training_loop_s3d",
        lambda r: r["two_processes"],
        "by a profile 28 % of a process's time is communication: 143 MB of gradients through gRPC, "
        "0.3 s, and 256 exchanges of batch norm. Kept: gradients in packs, moments by one gather "
        "without waiting, Adam in one pass. Tried without gain: other malloc settings (1 %)",
        at_least=0.8,
    ),
    Figure(
        "`import mmv_tf` beyond `import tensorflow`",
        "start_up",
        lambda r: r["beyond_cpu_seconds"],
        "our own modules, four fifths of it (python -X importtime); the rest is tensorboard, "
        "yaml and tqdm. Runs gave 0.00 to 0.33 s",
        at_most=0.5,
        unit=" s",
    ),
]
