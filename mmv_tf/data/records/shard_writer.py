# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes clips as TFRecord shards of `tf.train.SequenceExample`.

The same clips always give the same bytes: an example's id comes from the source and the time (or
from a list), and its order and shard from a hash of the id. The manifest is written last, so a
directory with a manifest is complete. TensorFlow is imported with the first example, not with this
module, so that a program that only reads a manifest starts quickly.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.records import framing, keys
from mmv_tf.data.records.manifests import CHUNK_RECORDS
from mmv_tf.util import files
from mmv_tf.util.files import file_sha256

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ClipSpan:
    """A clip's origin.

    Attributes:
      media_id: the source's id.
      start_ms, end_ms: times in milliseconds from the start of the source.
      block: index of the clip's block among all blocks of all sources.
      split: the block's split.
      labels: the clip's class names, if any.
      given_id: the example's id, if a list gives one.
    """

    media_id: str
    start_ms: int
    end_ms: int
    block: int
    split: str
    labels: tuple[str, ...] = ()
    given_id: str | None = None

    @property
    def example_id(self) -> str:
        """The id, which is unique in the data set and the same in every run."""
        if self.given_id is not None:
            return self.given_id
        return f"{self.media_id}_{self.start_ms:09d}_{self.end_ms:09d}"


@dataclasses.dataclass(frozen=True)
class EncodedMedia:
    """A clip encoded as one file.

    Attributes:
      data: an MP4 file; see `stored_clips.clip_encoder`.
      num_frames: number of frames; 0 if there is no video track.
      has_sound: True if there is an audio track.
    """

    data: bytes
    num_frames: int
    has_sound: bool


@dataclasses.dataclass(frozen=True)
class ClipMedia:
    """A clip's decoded media.

    Attributes:
      frames: JPEGs at a constant rate from the start of the clip; empty for an audio source.
      height, width: size of the frames in pixels.
      waveform: float32 [samples] in [-1, 1]; None if the source has no audio.
      log_mel: float32 [frames, bins] to store instead of the waveform, or None.
      log_mel_rate: frames per second of `log_mel`.
      encoded: frames and audio as one file to store instead of `frames` and `waveform`, or None.
    """

    frames: Sequence[bytes]
    height: int
    width: int
    waveform: np.ndarray | None
    log_mel: np.ndarray | None = None
    log_mel_rate: float = 0.0
    encoded: EncodedMedia | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames, whether stored as JPEGs or as video."""
        return len(self.frames) if self.encoded is None else self.encoded.num_frames

    @property
    def has_sound(self) -> bool:
        """True if there is audio in any form."""
        encoded = self.encoded is not None and self.encoded.has_sound
        return encoded or self.waveform is not None or self.log_mel is not None


def class_ids(labels: Iterable[str]) -> dict[str, int]:
    """Number the distinct labels in sorted order, so that ids stay the same between runs."""
    return {name: index for index, name in enumerate(sorted({name for name in labels if name}))}


def captions_around(
    clip: ClipSpan, captions: Sequence[captions_lib.Caption], window_seconds: float
) -> list[captions_lib.Caption]:
    """Return the captions within `window_seconds` of a clip, sorted by start.

    Args:
      clip: the clip.
      captions: captions of the clip's own block only; other blocks may belong to another split.
      window_seconds: largest distance before and after the clip.
    """
    start, end = clip.start_ms / 1000 - window_seconds, clip.end_ms / 1000 + window_seconds
    near = [caption for caption in captions if caption.end > start and caption.start < end]
    return sorted(near, key=lambda caption: (caption.start, caption.end, caption.text))


def sequence_example(
    clip: ClipSpan,
    media: ClipMedia,
    captions: Sequence[captions_lib.Caption],
    labels: dict[str, int],
    frame_rate: float,
    sample_rate: int,
    own: Sequence[captions_lib.Caption] = (),
) -> tf.train.SequenceExample:
    """Return one clip as a record with the features of `keys`.

    Args:
      clip: the clip's origin.
      media: the clip's frames and audio.
      captions: narrations in and around the clip, sorted by start.
      labels: class ids by name.
      frame_rate: frame rate in Hz.
      sample_rate: sample rate of the waveform in Hz.
      own: those of `captions` from which the clip was cut, or that a list gives for it.

    Raises:
      ValueError: the clip has neither frames nor audio.
    """
    import tensorflow as tf

    if not media.num_frames and not media.has_sound:
        raise ValueError(
            f"The clip {clip.example_id} has neither frames nor audio; expected at least one."
        )
    train = tf.train

    def integers(*values: int) -> tf.train.Feature:
        return train.Feature(int64_list=train.Int64List(value=values))

    def floats(values: Any) -> tf.train.Feature:
        return train.Feature(float_list=train.FloatList(value=values))

    def texts(*values: str) -> tf.train.Feature:
        return train.Feature(bytes_list=train.BytesList(value=[v.encode() for v in values]))

    def blob(data: bytes) -> tf.train.Feature:
        return train.Feature(bytes_list=train.BytesList(value=[data]))

    start = clip.start_ms * 1000  # Microseconds from here on.
    context = {
        keys.MEDIA_ID: texts(clip.media_id),
        keys.EXAMPLE_ID: texts(clip.example_id),
        keys.CLIP_START: integers(start),
        keys.CLIP_END: integers(clip.end_ms * 1000),
        keys.CAPTION: texts(*(caption.text for caption in captions)),
        keys.CAPTION_START: integers(*(round(c.start * 1e6) for c in captions)),
        keys.CAPTION_END: integers(*(round(c.end * 1e6) for c in captions)),
        keys.CAPTION_OWN: integers(*(int(caption in own) for caption in captions)),
    }
    if clip.labels:
        context[keys.LABEL_INDEX] = integers(*(labels[name] for name in clip.labels))
        context[keys.LABEL_STRING] = texts(*clip.labels)
    lists = {}
    if media.num_frames:
        context[keys.FRAME_RATE] = floats([frame_rate])
        context[keys.HEIGHT] = integers(media.height)
        context[keys.WIDTH] = integers(media.width)
        lists[keys.FRAME_TIMES] = [
            integers(start + keys.frame_offset(index, frame_rate))
            for index in range(media.num_frames)
        ]
    if media.frames:
        lists[keys.FRAMES] = [blob(frame) for frame in media.frames]
    if media.encoded is not None:
        context[keys.ENCODED_MEDIA] = blob(media.encoded.data)
        context[keys.ENCODED_MEDIA_START] = integers(start)
    if media.has_sound:
        context[keys.SAMPLE_RATE] = floats([sample_rate])
    if media.waveform is not None:
        packed = train.FloatList.FromString(_packed_floats(media.waveform))
        lists[keys.WAVEFORM] = [train.Feature(float_list=packed)]
    if media.log_mel is not None:
        context[keys.LOG_MEL_RATE] = floats([media.log_mel_rate])
        lists[keys.LOG_MEL] = [floats(frame) for frame in media.log_mel]
    return train.SequenceExample(
        context=train.Features(feature=context),
        feature_lists=train.FeatureLists(
            feature_list={key: train.FeatureList(feature=steps) for key, steps in lists.items()}
        ),
    )


def with_class_ids(record: bytes, labels: dict[str, int]) -> bytes:
    """Return a serialized example with class ids set from the names of its classes."""
    import tensorflow as tf

    example = tf.train.SequenceExample.FromString(record)
    feature = example.context.feature
    if keys.LABEL_STRING in feature:
        names = feature[keys.LABEL_STRING].bytes_list.value
        feature[keys.LABEL_INDEX].int64_list.value[:] = [labels[name.decode()] for name in names]
    return bytes(example.SerializeToString(deterministic=True))


def assign_shards(
    clips: Iterable[ClipSpan], num_shards: int, seed: int = 0
) -> list[list[ClipSpan]]:
    """Distribute one split's clips over shards, shuffled by a hash of their ids.

    Clips that are close in time end up far apart, so a reader's shuffle buffer can be small. No
    shard is empty: with fewer clips than `num_shards`, there is one shard per clip.
    """

    def order(clip: ClipSpan) -> bytes:
        return hashlib.sha256(f"{seed}:{clip.example_id}".encode()).digest()

    ordered = sorted(clips, key=order)
    count = min(num_shards, len(ordered))
    return [ordered[index::count] for index in range(count)]


def shard_name(split: str, index: int, count: int) -> str:
    """Return the file name of shard `index` of `count`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def write_shard(path: pathlib.Path, records: Iterable[bytes]) -> dict[str, Any]:
    """Write a shard of serialized examples atomically.

    Returns:
      The manifest entry: file, records, bytes, sha256, the offset of every 16th record, and the
      CRC-32C of the bytes from each offset to the next.
    """
    count = size = 0
    offsets: list[int] = []
    checksums: list[int] = []
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        for record in records:
            if count % CHUNK_RECORDS == 0:
                offsets.append(size)
                checksums.append(0)
            framed = framing.framed(record)
            file.write(framed)
            checksums[-1] = google_crc32c.extend(checksums[-1], framed)
            count += 1
            size += len(framed)
    return {
        "file": path.name,
        "records": count,
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "offsets": offsets,
        "crc32c": checksums,
    }


def _packed_floats(values: np.ndarray) -> bytes:
    """Return a serialized FloatList: the tag of packed field 1, its size as a varint, the floats.

    Passing protobuf 200,000 Python floats takes 100 times as long and would dominate the writing.
    """
    data = np.ascontiguousarray(values, "<f4").tobytes()
    size, remaining = bytearray(), len(data)
    while remaining > 0x7F:
        size.append(remaining & 0x7F | 0x80)
        remaining >>= 7
    size.append(remaining)
    return b"\x0a" + bytes(size) + data
