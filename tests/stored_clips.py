# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small clips stored as video, and shards of them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.data import captions
from mmv_tf.data.records import shard_writer
from mmv_tf.data.stored_clips import clip_encoder
from tests import records

RATE = 48_000
SAMPLE_RATE = 8_000  # Of the records.


def moving(count: int = 12, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Frames of a smooth texture that moves, uint8 [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    sides = (height + 2 * count) // 8 + 3, (width + count) // 8 + 3
    coarse = rng.uniform(30, 225, (*sides, 3))
    rows, columns = np.arange(8 * len(coarse)) / 8, np.arange(8 * coarse.shape[1]) / 8
    low = np.minimum(rows.astype(int), len(coarse) - 2)
    left = np.minimum(columns.astype(int), coarse.shape[1] - 2)
    down, right = (rows - low)[:, None, None], (columns - left)[None, :, None]
    across = [
        coarse[low + n][:, left] * (1 - right) + coarse[low + n][:, left + 1] * right
        for n in (0, 1)
    ]
    smooth = across[0] * (1 - down) + across[1] * down
    clip = [smooth[2 * n : 2 * n + height, n : n + width] for n in range(count)]
    return np.stack(clip).round().astype(np.uint8)


def video(frames: np.ndarray, frame_rate: float = 10.0, crf: int = 22) -> bytes:
    """An MP4 of frames."""
    encoder = clip_encoder.VideoEncoder(*frames.shape[1:3], frame_rate, crf)
    for frame in frames:
        encoder.add(frame)
    return encoder.finish()


def clip(frames: np.ndarray | None, waveform: np.ndarray | None, rate: int = RATE) -> bytes:
    """An MP4 of frames, audio or both."""
    data = b"" if frames is None else video(frames)
    return data if waveform is None else clip_encoder.with_sound(data, waveform, rate)


def bursts(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Silence with bursts of low noise at random times, float32."""
    return records.speech_like(seconds, rate, 0.5, seed)[: round(seconds * rate)]


def example(number: int, sound: bool = True, frames: bool = True) -> tf.train.SequenceExample:
    """A good record of 1.2 s, like `records.example`."""
    start = 2000 * number
    span = shard_writer.ClipSpan(
        "film", start, start + 1200, 0, "train", (records.LABELS[number % 2],)
    )
    count = records.FRAMES
    shown = moving(count, records.HEIGHT, records.WIDTH, number) if frames else None
    data = b"" if shown is None else video(shown, records.FRAME_RATE)
    if sound:
        waveform = bursts(1.2, SAMPLE_RATE, number)
        data = clip_encoder.with_sound(data, waveform, SAMPLE_RATE)
    encoded = shard_writer.EncodedMedia(data, count if frames else 0, sound)
    media = shard_writer.ClipMedia([], records.HEIGHT, records.WIDTH, None, encoded=encoded)
    said = [captions.Caption(start / 1000, start / 1000 + 1, f"words {number}")]
    return shard_writer.sequence_example(
        span,
        media,
        said,
        {name: index for index, name in enumerate(records.LABELS)},
        records.FRAME_RATE,
        SAMPLE_RATE,
    )


class Data(records.Data):
    """A directory of shards of clips stored as video."""

    def write_manifest(self, **changes: Any) -> None:
        """See `records.Data`."""
        super().write_manifest(**{"store": "video", "sample_rate": SAMPLE_RATE, **changes})


_PAYLOADS: dict[Any, bytes] = {}


def write(
    directory: pathlib.Path, sizes: Sequence[int] = (4, 4), sound: bool = True, frames: bool = True
) -> Data:
    """Shards with so many good records each."""
    directory.mkdir(parents=True, exist_ok=True)
    shards = records.payloads_of(
        sizes, lambda number: example(number, sound, frames), _PAYLOADS, (sound, frames)
    )
    data = Data(directory, shards)
    data.write()
    return data
