# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shards of generated clips, whose frames compress like photographs."""

from __future__ import annotations

import io
import pathlib
import statistics

import numpy as np
import tensorflow as tf
from PIL import Image

from mmv_tf.data.records import manifests, shard_writer

WIDTH, HEIGHT, RATE = 340, 256, 10.0
_STORED = 40  # frames in a clip


def write_shards(directory: pathlib.Path, num_clips: int, jpeg_quality: int = 90) -> float:
    """Write clips of moving texture with the spectrum of photographs into two shards.

    Returns:
      The mean size of a frame's JPEG, in bytes.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.fft.fftfreq(512), np.fft.rfftfreq(512), indexing="ij")
    falloff = np.maximum(np.hypot(rows, columns), 1 / 512) ** -1.6
    sizes: list[int] = []

    def example(clip: shard_writer.ClipSpan) -> tf.train.SequenceExample:
        spectrum = rng.normal(size=(3, 512, 257)) + 1j * rng.normal(size=(3, 512, 257))
        texture = np.fft.irfft2(spectrum * falloff, axes=(1, 2))
        grey = texture[:1] / texture[0].std()
        picture = 128 + 50 * grey + 12 * texture[1:].mean(axis=0) / texture.std()
        picture = np.repeat(picture, 3, axis=0) + 15 * texture / texture.std()
        picture = picture.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        jpegs = []
        for index in range(_STORED):
            window = picture[2 * index : 2 * index + HEIGHT, 3 * index : 3 * index + WIDTH]
            data = io.BytesIO()
            Image.fromarray(window).save(data, "JPEG", quality=jpeg_quality)
            jpegs.append(data.getvalue())
            sizes.append(len(jpegs[-1]))
        media = shard_writer.ClipMedia(jpegs, HEIGHT, WIDTH, None)
        return shard_writer.sequence_example(clip, media, [], {}, RATE, 48_000)

    clips = [
        shard_writer.ClipSpan("film", 4000 * n, 4000 * n + 4000, 0, "train")
        for n in range(num_clips)
    ]
    entries = []
    for number, own in enumerate((clips[::2], clips[1::2])):
        path = directory / shard_writer.shard_name("train", number, 2)
        records = (example(clip).SerializeToString() for clip in own)
        entries.append(shard_writer.write_shard(path, records))
    manifests.write_manifest(
        directory,
        {
            "frame_rate": RATE,
            "sample_rate": 48_000,
            "short_side": HEIGHT,
            "labels": [],
            "splits": {"train": {"num_examples": len(clips), "shards": entries}},
            "settings": {},
        },
    )
    return statistics.mean(sizes)
