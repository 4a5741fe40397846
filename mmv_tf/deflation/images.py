# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images for fitting a deflated model: from a folder of images, TFRecords, or frames of clips."""

from __future__ import annotations

import io
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from mmv_tf.data import Reader, config_for_network
from mmv_tf.data.file_types import IMAGE, MediaError, kind_of
from mmv_tf.data.images import center_crop
from mmv_tf.data.integrity.rules import CheckFailed, Limits
from mmv_tf.data.integrity.video import open_clip
from mmv_tf.data.records import keys
from mmv_tf.data.stored_clips.clip_decoder import UndecodableError
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.util.progress import progress
from mmv_tf.util.spacing import evenly_spaced

_RECORD_SUFFIXES = (".tfrecord", ".tfrecords")
# Ours: few frames per video, because its frames are similar.
_FRAMES_PER_RECORD = 4
_SHOWN = 3


def load_images(directory: str | pathlib.Path, size: int, count: int, seed: int = 0) -> np.ndarray:
    """Read images from a folder and its subfolders, or frames from the TFRecords there.

    Images are decoded by `image_pixels` (upright, RGB), scaled so that the shorter side is `size`,
    and center-cropped. Unreadable files are skipped, and one line on standard error counts and
    names them. If there are fewer than `count` images, all are returned.

    Args:
      directory: the folder.
      size: side in pixels.
      count: number of images to draw from all files.
      seed: seed for the sampling.

    Returns:
      float32 [at most count, size, size, 3] in [0, 1].

    Raises:
      ValueError: the folder does not exist, has no images, or none of them can be read.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise ValueError(f"There is no folder {directory}.")
    if count < 1 or size < 1:
        raise ValueError(f"Got count {count} and size {size}; both must be 1 or more.")
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    pictures = [path for path in files if kind_of(path) == IMAGE]
    records = [path for path in files if _is_record(path)]
    if bool(pictures) == bool(records):
        found = "both images and TFRecords" if pictures else "neither images nor TFRecords"
        raise ValueError(
            f"{directory} contains {found}; pass one with images or TFRecords, not both."
        )
    if records:
        return _from_records(records, size, count, seed)
    order = np.random.default_rng(seed).permutation(len(pictures))
    return read_pictures([pictures[index] for index in order], size, count)


def read_pictures(paths: Sequence[pathlib.Path], size: int, count: int | None = None) -> np.ndarray:
    """Read image files as `load_images` does, in the given order.

    Args:
      paths: the files.
      size: side in pixels.
      count: maximum number of images to return; None returns all.

    Returns:
      float32 [at most count, size, size, 3] in [0, 1].

    Raises:
      ValueError: none of the files can be read.
    """
    images: list[np.ndarray] = []
    refused: list[str] = []
    for path in progress(paths, "pictures", "files"):
        if len(images) == count:
            break
        try:
            images.append(center_crop(path, size, size, path.name))
        except MediaError as error:
            refused.append(str(error))
    _report_refused(refused)
    if not images:
        raise ValueError(f"None of the {len(paths)} images can be read: {_shown(refused)}.")
    return _as_floats(images)


def sample_frames(
    model: EmbeddingGraph, directory: str, split: str, frames_per_clip: int
) -> np.ndarray:
    """Return evenly spaced frames of each clip in a split, cropped as in the model's training.

    Args:
      model: the model, whose metadata specifies the size.
      directory, split: the dataset, as written by `prepare_data`.
      frames_per_clip: number of frames from each clip.

    Returns:
      float32 [clips * frames_per_clip, size, size, 3] in [0, 1].
    """
    config = config_for_network(
        model.metadata, directory, split, num_frames=1, windows=frames_per_clip
    )
    reader = Reader(config, tokenizer=None, log_mel=None)
    with reader.explained():
        batches = [batch["video"].numpy() for batch in reader.evaluate()]
    if not batches:
        raise ValueError(f"Split {split!r} of {directory} has no clips to read frames from.")
    return np.concatenate([batch.reshape(-1, *batch.shape[3:]) for batch in batches])


# Ours, for `altered`: probability that a copy is gray, inverted or has a margin; minimum fraction
# of a side that is kept; contrast factors; brightness means.
_RARE = 0.3
_LEAST_SIDE = 0.4
_CONTRAST = (0.5, 2.5)
_BRIGHTNESS = (0.1, 0.9)


def altered(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a strongly altered copy of each image, so that a fit generalizes to other images.

    Frames of one video share colors and composition. Copies are enlarged crops, half of them
    flipped, with swapped colors and altered contrast and brightness; some are gray, inverted or
    small on a plain background.

    Args:
      images: float32 [N, H, W, 3] in [0, 1].
      seed: seed for the alterations.

    Returns:
      float32 [N, H, W, 3] in [0, 1].
    """
    generator = np.random.default_rng(seed)
    count, height, width = images.shape[:3]

    def some(chance: float) -> np.ndarray:
        return np.less(generator.random(count), chance)

    def drawn(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, (count, 1, 1, 1)).astype(np.float32)

    side = generator.uniform(_LEAST_SIDE, 1, (count, 1))
    corner = generator.random((count, 2)) * (1 - side)
    boxes = np.concatenate([corner, corner + side], axis=1)
    copies = tf.image.crop_and_resize(images, boxes, np.arange(count), (height, width)).numpy()
    flipped, grey, inverted = some(0.5), some(_RARE), some(_RARE)
    copies[flipped] = copies[flipped, :, ::-1]
    copies[grey] = copies[grey].mean(axis=-1, keepdims=True)
    copies[inverted] = 1 - copies[inverted]
    order = generator.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    copies = np.take_along_axis(copies, order[:, np.newaxis, np.newaxis], axis=-1)
    mean = copies.mean(axis=(1, 2, 3), keepdims=True)
    copies = (copies - mean) * drawn(*_CONTRAST) + drawn(*_BRIGHTNESS)
    grounds, margins = drawn(0, 1), generator.uniform(1 / 16, 1 / 3, (count,))
    for index in np.flatnonzero(some(_RARE)):
        top, left = (int(margins[index] * size) for size in (height, width))
        inner = (height - 2 * top, width - 2 * left)
        small = tf.image.resize(copies[index], inner, antialias=True).numpy()
        copies[index] = grounds[index]
        copies[index, top : top + inner[0], left : left + inner[1]] = small
    return np.clip(copies, 0, 1)


def _is_record(path: pathlib.Path) -> bool:
    """Return whether a file is named like a record: x.tfrecord, or x.tfrecord-00000-of-00010."""
    return any(suffix in path.name for suffix in _RECORD_SUFFIXES)


def _report_refused(refused: Sequence[str]) -> None:
    if refused:
        print(f"{len(refused)} files can't be read: {_shown(refused)}", file=sys.stderr)


def _shown(refused: Sequence[str]) -> str:
    return "; ".join(refused[:_SHOWN]) + (" ..." if len(refused) > _SHOWN else "")


def _as_floats(images: Sequence[np.ndarray]) -> np.ndarray:
    """Convert uint8 images to one float32 array in [0, 1]; uint8 saves memory until then."""
    floats = np.empty([len(images), *images[0].shape], np.float32)
    for index, image in enumerate(images):
        np.divide(image, 255, out=floats[index], dtype=np.float32)
    return floats


def _from_records(files: Sequence[pathlib.Path], size: int, count: int, seed: int) -> np.ndarray:
    """Return frames of SequenceExamples, JPEGs or a stored video, or the image of Examples."""
    images: list[np.ndarray] = []
    refused: list[str] = []
    order = np.random.default_rng(seed).permutation(len(files))
    for index in progress(order, "records", "files"):
        path = files[index]
        try:
            for encoded in _encoded_frames(path):
                if len(images) == count:
                    break
                try:
                    images.append(center_crop(encoded, size, size, f"a frame in {path.name}"))
                except MediaError as error:
                    refused.append(str(error))
        except tf.errors.DataLossError as error:
            raise ValueError(f"{path} is damaged: {error.message}.") from error
    _report_refused(refused)
    if not images:
        raise ValueError(
            f"None of the records in {files[0].parent} has a readable {keys.FRAMES!r}; pass a "
            "folder of such records, or of images."
        )
    return _as_floats(images)


def _encoded_frames(path: pathlib.Path) -> Iterator[bytes]:
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        # In serialized form, an Example is a SequenceExample with only a context.
        example = tf.train.SequenceExample.FromString(record)
        frames = example.feature_lists.feature_list[keys.FRAMES].feature
        if frames:
            for place in evenly_spaced(len(frames), _FRAMES_PER_RECORD):
                yield from frames[place].bytes_list.value
        elif keys.ENCODED_MEDIA in example.context.feature:
            for data in example.context.feature[keys.ENCODED_MEDIA].bytes_list.value:
                yield from _video_frames(data)
        else:
            yield from example.context.feature[keys.FRAMES].bytes_list.value


def _video_frames(data: bytes) -> Iterator[bytes]:
    """Yield frames of a clip stored as video as PNGs; for a damaged clip, an invalid image."""
    try:
        clip = open_clip(data, Limits())
        chosen = evenly_spaced(clip.num_frames, _FRAMES_PER_RECORD).tolist()
        for _, planes in clip.frames(chosen) if chosen else ():
            buffer = io.BytesIO()
            Image.fromarray(planes.rgb(*planes.y.shape)).save(buffer, "PNG", compress_level=1)
            yield buffer.getvalue()
    except (CheckFailed, UndecodableError):
        yield data
