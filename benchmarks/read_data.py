# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares reading training clips with a plain pipeline and with decoding alone.

  python -m benchmarks.read_data

"ours" reads with the default settings, "opencv" with data.pixels=opencv. All variants read the same
shards in turn, in one process, and are compared by the CPU time of all its threads. "plain" decodes
every frame of the window in full, resizes, then crops, flips and changes colors one after the other
with TensorFlow's own functions, like the phases of DMVR. "pixels" only decodes these frames with
libjpeg-turbo, from memory. Prints one line of JSON: clips per core-second for each variant, the
ratios, and how the time per clip is divided in "ours".
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import ml_collections
import tensorflow as tf
from absl import app, flags

from benchmarks.generated_shards import HEIGHT, RATE, WIDTH, write_shards
from benchmarks.measure import print_result
from benchmarks.reading_cost import cpu_per_clip
from mmv_tf.data import Reader, default_config
from mmv_tf.data.reading import augmentation
from mmv_tf.data.reading import pixels as pixels_lib
from mmv_tf.data.records import keys

_CLIPS = flags.DEFINE_integer("num_clips", 24, "Different clips in the shards.", lower_bound=4)
_READ = flags.DEFINE_integer("read", 48, "Clips read per measurement.", lower_bound=4)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measurements of each variant, in turn.", lower_bound=1)
_QUALITY = flags.DEFINE_integer("jpeg_quality", 90, "JPEG quality, as in prepare_data.")

_BATCH = 4


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    with tempfile.TemporaryDirectory(prefix="read_data") as folder:
        directory = pathlib.Path(folder)
        frame_bytes = write_shards(directory, _CLIPS.value, _QUALITY.value)
        config = default_config()
        config.update(directory=str(directory), batch_size=_BATCH, frame_rate=RATE)
        reader = Reader(config, None, None)
        in_python = config.copy_and_resolve_references()
        in_python.pixels = "opencv"
        opencv = Reader(in_python, None, None)
        runs = {
            "ours": cpu_per_clip(reader.train(seed=0), _BATCH, _READ.value),
            "opencv": cpu_per_clip(opencv.train(seed=0), _BATCH, _READ.value),
            "plain": cpu_per_clip(_plain(reader.files(), config), _BATCH, _READ.value),
            "pixels": cpu_per_clip(_pixels(reader.files(), config), 1, _READ.value),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(_ROUNDS.value):
            for name, run in runs.items():
                seconds[name].append(run())
        steps = _steps(reader.files(), config)
    cost = {name: statistics.median(values) for name, values in seconds.items()}
    inputs = {
        "clip": f"{config.num_frames} frames of {WIDTH}x{HEIGHT} to {config.size}",
        "bytes_a_frame": round(frame_bytes),
    }
    print_result(
        "read_data",
        inputs,
        cpu_seconds={name: round(value, 5) for name, value in cost.items()},
        clips_per_core_second={name: round(1 / value, 1) for name, value in cost.items()},
        ours_over_plain=round(cost["plain"] / cost["ours"], 2),
        time_over_pixels=round(cost["ours"] / cost["pixels"], 2),
        opencv_over_plain=round(cost["plain"] / cost["opencv"], 2),
        opencv_time_over_pixels=round(cost["opencv"] / cost["pixels"], 2),
        rounds_ms={
            name: [round(1000 * value, 2) for value in values] for name, values in seconds.items()
        },
        steps_ms=steps,
        limited_by=max(steps, key=lambda name: steps[name]),
    )


def _window(record: tf.Tensor, config: ml_collections.ConfigDict) -> tf.Tensor:
    """Return the JPEGs of a random window."""
    _, lists = tf.io.parse_single_sequence_example(
        record,
        sequence_features={keys.FRAMES: tf.io.FixedLenSequenceFeature([], tf.string)},
    )
    encoded = lists[keys.FRAMES]
    last = tf.shape(encoded)[0] - config.num_frames
    start = tf.random.uniform([], 0, last + 1, tf.int32)
    return tf.ensure_shape(encoded[start : start + config.num_frames], [config.num_frames])


def _plain(files: list[str], config: ml_collections.ConfigDict) -> tf.data.Dataset:
    """Return the plain pipeline; jitter and resizing are merged into one step, in its favor."""
    size = config.size

    def colour(clip: tf.Tensor) -> tf.Tensor:
        clip = tf.image.random_brightness(clip, 32 / 255)
        clip = tf.image.random_saturation(clip, 0.6, 1.4)
        clip = tf.image.random_contrast(clip, 0.6, 1.4)
        return tf.clip_by_value(tf.image.random_hue(clip, 0.2), 0.0, 1.0)

    def example(record: tf.Tensor) -> tf.Tensor:
        clip = tf.map_fn(
            lambda frame: tf.io.decode_jpeg(frame, channels=3),
            _window(record, config),
            fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
        )
        shape = tf.cast(tf.shape(clip)[1:3], tf.float32)
        factors = tf.random.uniform([2], 0.8, 1.2)
        shape *= tf.where(tf.random.uniform([]) < 0.8, factors, 1.0)
        shape = tf.cast(tf.math.ceil(shape * 224 / tf.reduce_min(shape)), tf.int32)
        clip = tf.image.resize(clip, shape)
        clip = tf.image.random_crop(clip, [config.num_frames, size, size, 3])
        mirrored = tf.random.uniform([]) < 0.5
        clip = tf.cond(mirrored, lambda: tf.reverse(clip, axis=[2]), lambda: clip) / 255.0
        return tf.cond(tf.random.uniform([]) < 0.8, lambda: colour(clip), lambda: clip)

    dataset = tf.data.TFRecordDataset(files).shuffle(_CLIPS.value).repeat()
    return _mapped(dataset, example).batch(_BATCH).prefetch(2)


def _pixels(files: list[str], config: ml_collections.ConfigDict) -> tf.data.Dataset:
    """Return a pipeline that only decodes whole frames from memory."""
    windows = list(tf.data.TFRecordDataset(files).map(lambda record: _window(record, config)))
    dataset = tf.data.Dataset.from_tensor_slices(tf.stack(windows)).repeat()

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        pixels = [tf.io.decode_jpeg(frame, channels=3) for frame in tf.unstack(encoded)]
        return tf.add_n([tf.shape(frame)[0] for frame in pixels])

    return _mapped(dataset, decode)


def _mapped(dataset: tf.data.Dataset, function: Callable[..., tf.Tensor]) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.map(function, num_parallel_calls=os.cpu_count() or 1).with_options(options)


def _steps(files: list[str], config: ml_collections.ConfigDict) -> dict[str, float]:
    """Return the CPU milliseconds of our steps, each run on the previous step's output."""
    record = next(iter(tf.data.TFRecordDataset(files)))
    encoded = _window(record, config)
    size = (tf.constant(HEIGHT), tf.constant(WIDTH))
    crops = [
        augmentation.crop_window(*size, tf.constant([0, n]), config.scale_jitter) for n in range(16)
    ]
    seeds = [tf.constant([1, n]) for n in range(16)]
    decode = tf.function(lambda crop: pixels_lib.decode_window(encoded, crop))
    resize = tf.function(
        lambda pixels: tf.image.resize(pixels, [config.size, config.size]), reduce_retracing=True
    )
    flip = tf.function(augmentation.flip, reduce_retracing=True)
    colour = tf.function(lambda clip, seed: augmentation.jitter_color(clip, seed, scale=255.0))
    pixels = [decode(crop) for crop in crops]
    resized = [resize(clip) for clip in pixels]
    taken = {
        "read_and_parse": lambda: [_window(record, config) for _ in crops],
        "decode_window": lambda: [decode(crop) for crop in crops],
        "flip": lambda: [flip(*pair) for pair in zip(pixels, seeds, strict=True)],
        "resize": lambda: [resize(clip) for clip in pixels],
        "colour": lambda: [colour(*pair) for pair in zip(resized, seeds, strict=True)],
        "batch": lambda: [tf.stack(resized[n : n + _BATCH]) for n in range(0, 16, _BATCH)],
    }
    steps = {}
    for name, step in taken.items():
        step()
        times = []
        for _ in range(_ROUNDS.value):
            started = time.process_time()
            step()
            times.append((time.process_time() - started) / len(crops))
        steps[name] = round(1000 * statistics.median(times), 2)
    return steps


if __name__ == "__main__":
    app.run(main)
