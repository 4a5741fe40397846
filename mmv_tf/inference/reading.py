# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes windows of video, audio and images into a model's input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.data.images import image_pixels
from mmv_tf.data.reading.augmentation import CROP_SHARE
from mmv_tf.inference.windows import Windows


@dataclasses.dataclass(frozen=True)
class Block:
    """Windows of a video, with the frames and samples that they share.

    Attributes:
      starts: start of each window, as a frame index on the grid.
      frames: uint8 [F * finer, size, size, 3], the grid's frames, beginning at the first start.
      sound: float32 [samples], beginning at the time of the first start; None if there is no audio.
      finer: decoded frames per grid frame.
    """

    starts: tuple[int, ...]
    frames: np.ndarray
    sound: np.ndarray | None
    finer: int = 1

    @property
    def grid_frames(self) -> np.ndarray:
        """The grid's frames, uint8 [F, size, size, 3]."""
        return self.frames[:: self.finer]

    @property
    def offsets(self) -> list[int]:
        """The first frame of each window in `grid_frames`."""
        return [start - self.starts[0] for start in self.starts]

    def clips(self, windows: Windows) -> np.ndarray:
        """Return uint8 [W, T, size, size, 3]."""
        frames = self.grid_frames
        return np.stack([frames[start : start + windows.num_frames] for start in self.offsets])

    def sounds(self, windows: Windows) -> np.ndarray | None:
        """Return float32 [W, samples], or None."""
        if self.sound is None:
            return None
        scale = windows.sample_rate / windows.frame_rate
        firsts = [round(offset * scale) for offset in self.offsets]
        return np.stack([self.sound[first : first + windows.samples] for first in firsts])


def probe_videos(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a description of each file's contents, in the form of `media.MediaInfo`."""
    for path in paths:
        yield media.probe(path).to_json()


def decode_blocks(
    path: str, windows: Windows, has_audio: bool, finer: int, parts: Sequence[Sequence[int]]
) -> Iterator[Block]:
    """Decode a video once, in order.

    Args:
      path: the file.
      windows: window settings.
      has_audio: whether to decode the audio.
      finer: frames to decode per grid frame.
      parts: starts of each block's windows, ascending from block to block.

    Yields:
      One `Block` for each part.

    Raises:
      MediaError: the file can't be decoded.
    """
    first, last = parts[0][0], parts[-1][-1] + windows.num_frames
    times = [index / finer / windows.frame_rate for index in range(first * finer, last * finer)]
    side = round(windows.size / CROP_SHARE)
    pictures = media.iter_pixels_at(
        path, times, side, not windows.square_crop, max(1.0, windows.seconds)
    )
    kept: list[np.ndarray] = []  # the frames from `first` on
    for starts in parts:
        del kept[: (starts[0] - first) * finer]
        first = starts[0]
        wanted = starts[-1] + windows.num_frames - first
        while len(kept) < wanted * finer:
            kept.append(_middle(next(pictures)[1], windows.size))
        sound = None
        if has_audio:
            begin = first / windows.frame_rate
            # One sample more than accumulated rounding can require.
            end = begin + wanted / windows.frame_rate + 1 / windows.sample_rate
            sound = media.read_waveform(path, begin, end, windows.sample_rate)
        yield Block(tuple(starts), np.stack(kept[: wanted * finer]), sound, finer)


def span_clips(
    path: str,
    windows: Windows,
    start: float = 0.0,
    end: float | None = None,
    most: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return evenly spaced windows over a span of a video.

    Args:
      path: the file.
      windows: window settings; `Windows.spread` sets the starts.
      start, end: the span, in seconds; an end of None is the end of the video.
      most: maximum number of windows; None for no limit.

    Returns:
      uint8 [W, T, size, size, 3], and their starts in seconds, [W].

    Raises:
      MediaError: the file can't be decoded, or the span lies outside it.
    """
    offsets = windows.spread(start, _end(path, start, end, media.probe(path).duration), most)
    steps = np.arange(windows.num_frames) / windows.frame_rate
    times = (offsets[:, np.newaxis] + steps).reshape(-1)
    order = np.argsort(times, kind="stable")
    side = round(windows.size / CROP_SHARE)
    hold = max(1.0, windows.seconds)
    pictures = media.iter_pixels_at(
        path, times[order].tolist(), side, not windows.square_crop, hold
    )
    clips = np.empty([len(times), windows.size, windows.size, 3], np.uint8)
    for index, (_, picture) in zip(order, pictures, strict=True):
        clips[index] = _middle(picture, windows.size)
    return clips.reshape(len(offsets), windows.num_frames, *clips.shape[1:]), offsets


def span_sounds(
    path: str,
    windows: Windows,
    start: float = 0.0,
    end: float | None = None,
    most: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return evenly spaced windows over a span of audio; see `span_clips`.

    Returns:
      float32 [W, samples] in [-1, 1], and their starts in seconds, [W].

    Raises:
      MediaError: the file can't be decoded, or the span lies outside it.
    """
    duration = media.probe(path, "sound").duration
    offsets = windows.spread(start, _end(path, start, end, duration), most)
    pieces = [
        media.read_waveform(path, offset, offset + windows.seconds, windows.sample_rate)
        for offset in offsets.tolist()
    ]
    return np.stack([piece[: windows.samples] for piece in pieces]), offsets


def _end(path: str, start: float, end: float | None, duration: float) -> float:
    """Return the end of a span, limited to the file."""
    end = duration if end is None else min(end, duration)
    if start >= end:
        raise media.MediaError(
            f"{path}: the file is {duration:.2f} s long, but the span starts at {start:g} s; "
            "choose a span inside the file."
        )
    return end


def picture(source: str | bytes, windows: Windows, name: str) -> np.ndarray:
    """Return an image's center, uint8 [size, size, 3].

    Raises:
      MediaError: the image can't be decoded.
    """
    side = round(windows.size / CROP_SHARE)
    return _middle(image_pixels(source, side, not windows.square_crop, name), windows.size)


def _middle(picture: np.ndarray, size: int) -> np.ndarray:
    """Center-crop [height, width, 3] to [size, size, 3]."""
    top, left = ((side - size) // 2 for side in picture.shape[:2])
    return picture[top : top + size, left : left + size]
