# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tiny shards written record by record, so that tests can damage each in a known way."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf
from PIL import Image

from mmv_tf.data import captions, default_config
from mmv_tf.data.records import framing, manifests, shard_writer
from mmv_tf.util import files

FRAME_RATE, SAMPLE_RATE, FRAMES = 5.0, 800, 6
HEIGHT, WIDTH = 24, 32
LABELS = ("first", "second")
WINDOW_SECONDS = 10.0


def jpeg(
    value: int, height: int = HEIGHT, width: int = WIDTH, mode: str = "RGB", noise: int = 10
) -> bytes:
    """A frame whose grey is `value`, with some texture."""
    rng = np.random.default_rng(value)
    channels = {"RGB": 3, "L": 1, "CMYK": 4}[mode]
    picture = rng.integers(-noise, max(noise, 1), (height, width, channels)) + value
    picture = picture.clip(0, 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(picture[..., 0] if mode == "L" else picture, mode).save(data, "JPEG")
    return data.getvalue()


def example(number: int, media_id: str = "film") -> tf.train.SequenceExample:
    """A good record: 1.2 s of frames, a tone, three captions and a label."""
    start = 2000 * number
    clip = shard_writer.ClipSpan(media_id, start, start + 1200, 0, "train", (LABELS[number % 2],))
    times = np.arange(round(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    waveform = (0.5 * np.sin(2 * np.pi * 47 * times)).astype(np.float32)
    frames = [jpeg(20 + 10 * (number % 8) + 3 * index) for index in range(FRAMES)]
    said = [
        captions.Caption(
            start / 1000 + 0.4 * n, start / 1000 + 0.4 * n + 0.3, f"words {number} {n}"
        )
        for n in range(3)
    ]
    return shard_writer.sequence_example(
        clip,
        shard_writer.ClipMedia(frames, HEIGHT, WIDTH, waveform),
        said,
        {name: index for index, name in enumerate(LABELS)},
        FRAME_RATE,
        SAMPLE_RATE,
    )


def speech_like(
    seconds: float = 0.8, rate: int = 16_000, level: float = 0.3, seed: int = 0
) -> np.ndarray:
    """Low-passed noise that comes and goes."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.normal(size=round(seconds * rate) + 40), np.hanning(40), "valid")
    envelope = np.sin(np.linspace(0, 20, len(noise))) ** 2
    return (level * noise / np.abs(noise).max() * envelope).astype(np.float32)


@dataclasses.dataclass
class Data:
    """A directory of shards, and what was written to it."""

    directory: pathlib.Path
    shards: list[list[bytes]]

    def path(self, shard: int) -> pathlib.Path:
        return self.directory / f"train-{shard:05d}-of-{len(self.shards):05d}.tfrecord"

    def offset(self, shard: int, record: int) -> int:
        """Where a record's header starts."""
        return sum(len(framing.framed(payload)) for payload in self.shards[shard][:record])

    def write(self) -> None:
        """Writes the shards and a manifest that says the truth about them."""
        for number, payloads in enumerate(self.shards):
            content = b"".join(map(framing.framed, payloads))
            self.path(number).write_bytes(content)
        self.write_manifest()

    def write_manifest(self, **changes: Any) -> None:
        """Of the shards as they are on the disk, with `changes` to its top level."""
        entries = [
            {
                "file": self.path(number).name,
                "records": len(payloads),
                "bytes": self.path(number).stat().st_size,
                "sha256": files.file_sha256(self.path(number)),
            }
            for number, payloads in enumerate(self.shards)
        ]
        count = sum(len(payloads) for payloads in self.shards)
        manifest = {
            "frame_rate": FRAME_RATE,
            "sample_rate": SAMPLE_RATE,
            "short_side": HEIGHT,
            "labels": list(LABELS),
            "splits": {"train": {"num_examples": count, "shards": entries}},
            "settings": {"caption_window_seconds": WINDOW_SECONDS},
            "blocks": [],
            **changes,
        }
        manifests.write_manifest(self.directory, manifest)

    def add_to_split(self, **entries: Any) -> None:
        """Writes the manifest with more of what it says of the split."""
        splits = self.manifest()["splits"]
        splits["train"].update(entries)
        self.write_manifest(splits=splits)

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.directory / manifests.MANIFEST).read_text())

    def change(self, shard: int, record: int, edit: Callable[[Any], Any]) -> None:
        """Edits a record (in place, or to the bytes returned) and writes all anew."""
        parsed = tf.train.SequenceExample.FromString(self.shards[shard][record])
        replaced = edit(parsed)
        if not isinstance(replaced, bytes):
            replaced = parsed.SerializeToString(deterministic=True)
        self.shards[shard][record] = replaced
        self.write()

    def patch(self, shard: int, edit: Callable[[bytearray], Any]) -> None:
        """Edits a shard's bytes behind the manifest's back."""
        content = bytearray(self.path(shard).read_bytes())
        replaced = edit(content)
        self.path(shard).write_bytes(content if replaced is None else replaced)

    def config(self, **settings: Any) -> ml_collections.ConfigDict:
        """Reads two frames of eight pixels."""
        config = default_config()
        config.update(
            directory=str(self.directory), num_frames=2, frame_rate=FRAME_RATE, size=8, batch_size=2
        )
        config.update(settings)
        return config


def payloads_of(
    sizes: Sequence[int],
    example: Callable[[int], tf.train.SequenceExample],
    known: dict[Any, bytes],
    kind: Any,
) -> list[list[bytes]]:
    """Serialized examples for each shard, numbered through; those of a kind are made once."""
    numbers, shards = itertools.count(), []
    for size in sizes:
        payloads = []
        for number in itertools.islice(numbers, size):
            key = (number, kind)
            if key not in known:
                known[key] = example(number).SerializeToString(deterministic=True)
            payloads.append(known[key])
        shards.append(payloads)
    return shards


_PAYLOADS: dict[Any, bytes] = {}


def write(directory: pathlib.Path, sizes: Sequence[int] = (4, 4), media_id: str = "film") -> Data:
    """Shards with so many good records each."""
    directory.mkdir(parents=True, exist_ok=True)
    shards = payloads_of(sizes, lambda number: example(number, media_id), _PAYLOADS, media_id)
    data = Data(directory, shards)
    data.write()
    return data
