# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Frames and audio of clips that are stored as video (`prepare_data --store=video`).

Frames stay in Y, U and V until they are cropped and resized: color planes have half the height and
width, and pixels outside the window are never converted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.data.integrity.damage import MESSAGE_END, UNSURE_START
from mmv_tf.data.integrity.rules import CheckFailed, Limits
from mmv_tf.data.integrity.video import open_clip
from mmv_tf.data.reading.ending import end_iterators_at_exit
from mmv_tf.data.stored_clips.clip_decoder import TO_RGB, StoredClip, UndecodableError, VideoPlanes


def resized_window(
    media: tf.Tensor,
    indices: tf.Tensor,
    shape: tf.Tensor,
    crop: tf.Tensor,
    mirrored: tf.Tensor,
    name: tf.Tensor,
    size: int,
    limits: Limits,
) -> tf.Tensor:
    """Decode frames from a clip, then crop and resize them.

    Args:
      media: string scalar, the clip's file.
      indices: int32 [N], indices of the frames.
      shape: int32 [2], height and width of the frames.
      crop: int32 [top, left, height, width].
      mirrored: bool scalar.
      name: string scalar, shard and example for messages.
      size: height and width of the result.
      limits: upper limits on records.

    Returns:
      float32 [N, size, size, 3] in [0, 255].
    """
    decode = functools.partial(_window, limits=limits)
    end_iterators_at_exit()
    luma, color = tf.numpy_function(
        decode, [media, indices, shape, crop, mirrored, name], [tf.uint8, tf.uint8], stateful=False
    )
    parts = []
    for part, channels in ((luma, 1), (color, 2)):
        part = tf.ensure_shape(part, [*indices.shape, None, None, channels])
        parts.append(tf.image.resize(part, [size, size]))
    kernel = tf.constant(TO_RGB[:, :3].T[np.newaxis, np.newaxis], tf.float32)
    mapped = tf.nn.conv2d(tf.concat(parts, axis=-1), kernel, 1, "VALID")
    mapped = tf.nn.bias_add(mapped, tf.constant(TO_RGB[:, 3], tf.float32))
    return tf.raw_ops.ClipByValue(t=mapped, clip_value_min=0.0, clip_value_max=255.0)


def resize_windows(
    media: bytes,
    indices: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    resized: np.ndarray,
    limits: Limits,
) -> None:
    """Decode frames from a clip, then crop and resize them with OpenCV.

    Args:
      media: the clip's file.
      indices, shape, crop, limits: see `resized_window`.
      resized: uint8 [N, size, size, 3] to fill, interpolated bilinearly.

    Raises:
      ValueError: the file is damaged.
    """
    import cv2

    size = resized.shape[2], resized.shape[1]
    yuv = np.empty_like(resized[0])
    for places, planes in _wanted(_checked(media, shape, limits), indices):
        for channel, plane in enumerate(_cropped(planes, crop)):
            part = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
            cv2.insertChannel(part, yuv, channel)
        cv2.transform(yuv, TO_RGB, dst=resized[places[0]])
        for place in places[1:]:
            resized[place] = resized[places[0]]


def window_waveform(
    media: tf.Tensor,
    count: tf.Tensor,
    start: tf.Tensor,
    end: tf.Tensor,
    name: tf.Tensor,
    rate: int,
    limits: Limits,
) -> tf.Tensor:
    """Decode a clip's audio.

    Args:
      media, name, limits: see `resized_window`.
      count: int64 scalar, number of samples in the clip.
      start, end: int64 scalars, range of samples that are needed; others are zeros.
      rate: samples per second.

    Returns:
      float32 [count], or [0] if there is no audio.
    """
    decode = functools.partial(_waveform, rate=rate, limits=limits)
    end_iterators_at_exit()
    samples = tf.numpy_function(
        decode, [media, count, start, end, name], tf.float32, stateful=False
    )
    return tf.ensure_shape(samples, [None])


def _named(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make errors name the record, the last argument, in a form that `damage.explained` finds."""

    @functools.wraps(function)
    def named(*arguments: Any, **settings: Any) -> Any:
        *rest, name = arguments
        try:
            return function(*rest, **settings)
        except ValueError as error:
            raise ValueError(f"{UNSURE_START}{name.decode()}: {error}{MESSAGE_END}") from error

    return named


@_named
def _window(
    media: bytes,
    indices: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: np.ndarray,
    limits: Limits,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the window's luma, uint8 [N, rows, columns, 1], and color, uint8 [N, ..., 2]."""
    clip = _checked(media, shape, limits)
    luma, color = (
        np.empty((len(indices), *(side.stop - side.start for side in window), channels), np.uint8)
        for window, channels in ((_window_of_luma(crop), 1), (_window_of_color(crop), 2))
    )
    step = -1 if mirrored else 1
    for places, planes in _wanted(clip, indices):
        y, u, v = (plane[:, ::step] for plane in _cropped(planes, crop))
        for place in places:
            luma[place, :, :, 0], color[place, :, :, 0], color[place, :, :, 1] = y, u, v
    return luma, color


@_named
def _waveform(
    media: bytes, count: int, start: int, end: int, rate: int, limits: Limits
) -> np.ndarray:
    """Return a clip's samples, float32 [count]."""
    if not 0 <= count <= limits.samples:
        raise ValueError(f"got {count} samples of audio; expected 0 to {limits.samples}")
    clip = _opened(media, limits) if media else None
    if clip is None or clip.tracks.sound is None:
        return np.zeros(0, np.float32)
    if clip.tracks.sound.timescale != rate:
        raise ValueError(f"its audio is at {clip.tracks.sound.timescale} Hz instead of {rate}")
    return clip.waveform(int(count), int(start), int(end))


def _opened(media: bytes, limits: Limits) -> StoredClip:
    try:
        return open_clip(media, limits)
    except CheckFailed as wrong:
        raise UndecodableError(f"{wrong.problem.reason} ({wrong.problem.detail})") from wrong


def _checked(media: bytes, shape: np.ndarray, limits: Limits) -> StoredClip:
    """Return a clip after checking that its frames have the shape that the record states."""
    clip = _opened(media, limits)
    clip.check_size(*shape.tolist())
    return clip


def _wanted(clip: StoredClip, indices: np.ndarray) -> Iterator[tuple[list[int], VideoPlanes]]:
    """Yield each distinct frame that is wanted, with its places among `indices`."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(indices.tolist()):
        places.setdefault(index, []).append(place)
    for index, planes in clip.frames(list(places)):
        yield places[index], planes


def _cropped(planes: VideoPlanes, crop: np.ndarray) -> list[np.ndarray]:
    """Return a window of Y, U and V without copying."""
    luma, color = _window_of_luma(crop), _window_of_color(crop)
    return [planes.y[luma], planes.u[color], planes.v[color]]


def _window_of_luma(crop: np.ndarray) -> tuple[slice, slice]:
    top, left, height, width = crop.tolist()
    return slice(top, top + height), slice(left, left + width)


def _window_of_color(crop: np.ndarray) -> tuple[slice, slice]:
    """Return the window of the color planes; at odd borders it is half a luma pixel larger."""
    top, left, height, width = crop.tolist()
    return slice(top // 2, (top + height + 1) // 2), slice(left // 2, (left + width + 1) // 2)
