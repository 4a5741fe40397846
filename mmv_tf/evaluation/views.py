# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads the views of media that a protocol defines."""

from __future__ import annotations

import io
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence

import av
import numpy as np
from PIL import Image

from mmv_tf.data import media
from mmv_tf.data.images import center_crop
from mmv_tf.data.preparation.sources import TRIMMED_SECONDS
from mmv_tf.evaluation.declaration import AudioViews, ImageViews, VideoViews, Views
from mmv_tf.evaluation.listing import Item
from mmv_tf.inference.windows import spread_evenly
from mmv_tf.util.read_ahead import read_ahead

# Ours: the loss is invisible; records are stored with quality 90.
_JPEG_QUALITY = 95
# Ours: an hour of audio at 48 kHz is 700 MB.
_MAX_SECONDS = 3600.0


def read_views(
    path: pathlib.Path, item: Item, views: Views, sample_rate: int = 48_000, seed: int = 0
) -> np.ndarray:
    """Return the windows of one item.

    Args:
      path: path to the media.
      item: the item, which may be a part of the media.
      views: views to read.
      sample_rate: sample rate of audio, in Hz.
      seed: seed for random views, which depend only on the seed and the item's id.

    Returns:
      For video uint8 [windows, T, size, size, 3], for audio float32 [windows, samples] in [-1, 1],
      for images uint8 [1, size, size, 3].

    Raises:
      MediaError: the media can't be decoded.
    """
    generator = np.random.default_rng([seed, zlib.crc32(item.item_id.encode())])
    if isinstance(views, ImageViews):
        return center_crop(path, views.short_side, views.size)[np.newaxis]
    if isinstance(views, AudioViews):
        return _read_audio(path, item, views, sample_rate, generator)
    return _read_video(path, item, views, generator)


def read_all(
    items: Sequence[Item],
    paths: Mapping[str, pathlib.Path],
    views: Views,
    sample_rate: int = 48_000,
    seed: int = 0,
    threads: int | None = None,
) -> Iterator[tuple[Item, np.ndarray | media.MediaError]]:
    """Yield the views of many items, in order, decoded ahead by threads.

    An item that can't be decoded is yielded with its error instead of its views.
    """

    def read(item: Item) -> np.ndarray | media.MediaError:
        try:
            return read_views(paths[item.item_id], item, views, sample_rate, seed)
        except media.MediaError as error:
            return error
        except av.FFmpegError as error:
            return media.MediaError(f"{paths[item.item_id]}: can't be decoded ({error}).")

    yield from zip(items, read_ahead(read, items, threads or os.cpu_count() or 1), strict=True)


def window_times(
    duration: float, length: float, windows: int, generator: np.random.Generator | None
) -> np.ndarray:
    """Return the start times of windows in seconds.

    Args:
      duration: total duration, in seconds.
      length: window duration, in seconds.
      windows: number of windows.
      generator: generator for random positions; None for even spacing from start to end (centered
        for one window).
    """
    last = max(duration - length, 0.0)
    if generator is not None:
        return generator.uniform(0.0, last, windows)
    return spread_evenly(last, windows)


def _span(item: Item, duration: float, path: pathlib.Path) -> tuple[float, float]:
    start = 0.0 if item.start is None else item.start
    if path.stem in item.trimmed_files:
        return 0.0, duration
    if (
        item.trimmed_files
        and item.end is not None
        and duration <= item.end - start + TRIMMED_SECONDS
    ):
        return 0.0, duration
    end = duration if item.end is None else min(item.end, duration)
    if end - start <= 0:
        raise media.MediaError(
            f"{path}: {item.item_id} starts at {start:g} s, but the media ends at {duration:.2f} s."
        )
    return start, end


def _read_video(
    path: pathlib.Path, item: Item, views: VideoViews, generator: np.random.Generator
) -> np.ndarray:
    info = media.probe(path)
    start, end = _span(item, info.duration, path)
    duration = end - start
    step = 1 / views.frame_rate
    begins = window_times(
        duration, views.num_frames * step, views.windows, generator if views.random else None
    )
    # Loop a video shorter than a window, as the released eval_ucf101.py does.
    times = begins[:, np.newaxis] + step * np.arange(views.num_frames)
    times = start + np.mod(times, max(duration, 1e-3))
    wanted, place = np.unique(np.round(times, 6), return_inverse=True)
    place = place.reshape(times.shape)
    frames = [
        _decode(jpeg)
        for _, jpeg in media.iter_frames_at(path, wanted.tolist(), views.short_side, _JPEG_QUALITY)
    ]
    return np.stack(
        [_crop([frames[index] for index in window], views, generator) for window in place]
    )


def _crop(
    frames: Sequence[np.ndarray], views: VideoViews, generator: np.random.Generator
) -> np.ndarray:
    """Crop all frames of a window at the same position, [T, size, size, 3].

    If frames differ in shape, the position is the same fraction of each frame's margins.
    """
    height, width = frames[0].shape[:2]
    size = views.size
    if min(height, width) < size:
        raise ValueError(f"Frames of {height} x {width} pixels can't be cropped to {size} pixels.")
    if views.random:
        top = int(generator.integers(height - size + 1))
        left = int(generator.integers(width - size + 1))
        mirrored = bool(generator.integers(2))
    else:
        top, left, mirrored = (height - size) // 2, (width - size) // 2, False
    clip = np.stack([_window(frame, (height, width), top, left, size) for frame in frames])
    return clip[:, :, ::-1] if mirrored else clip


def _window(
    frame: np.ndarray, shape: tuple[int, int], top: int, left: int, size: int
) -> np.ndarray:
    """Crop a frame at the position that corresponds to (top, left) in another shape."""
    corner = [
        place if side == given else round((side - size) * (place / (given - size or 1)))
        for place, side, given in zip((top, left), frame.shape[:2], shape, strict=True)
    ]
    return frame[corner[0] : corner[0] + size, corner[1] : corner[1] + size]


def _decode(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg), formats=["JPEG"]))


def _read_audio(
    path: pathlib.Path,
    item: Item,
    views: AudioViews,
    sample_rate: int,
    generator: np.random.Generator,
) -> np.ndarray:
    waveform = read_audio(path, item, sample_rate)
    length = round(views.seconds * sample_rate)
    if len(waveform) < length:
        waveform = np.tile(waveform, -(-length // len(waveform)))
    begins = window_times(len(waveform), length, views.windows, generator if views.random else None)
    return np.stack([waveform[begin : begin + length] for begin in np.round(begins).astype(int)])


def read_audio(path: pathlib.Path, item: Item, sample_rate: int) -> np.ndarray:
    """Return an item's whole audio, float32 [samples] in [-1, 1]."""
    start, end = _span(item, media.probe(path, "sound").duration, path)
    if end - start > _MAX_SECONDS:
        raise media.MediaError(
            f"{path}: got {end - start:.0f} s of audio; at most {_MAX_SECONDS:.0f} s can be read "
            "at once; list shorter parts of the file."
        )
    waveform = media.read_waveform(path, start, end, sample_rate)
    if not len(waveform):
        raise media.MediaError(f"{path}: has no audio.")
    return waveform
