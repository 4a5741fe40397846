# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes and crops a clip's frames, in TensorFlow's graph or with OpenCV on threads."""

from __future__ import annotations

import concurrent.futures
import functools
import importlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from mmv_tf.data.integrity.damage import MESSAGE_END, UNSURE_START
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import augmentation, stored_video
from mmv_tf.data.reading.ending import end_iterators_at_exit
from mmv_tf.data.reading.settings import Example

# Above this number of frames a loop replaces one node per frame, to limit the size of the graph.
_MOST_UNROLLED = 160

# Block width of most JPEGs, and a multiple of the block width of the others (4:4:4: 8).
_BLOCK = 16


def decode_window(encoded: tf.Tensor, crop: tf.Tensor) -> tf.Tensor:
    """Decode one window of equally sized frames.

    One node per frame instead of a loop saves a tenth of the time. Chroma is upsampled smoothly,
    for which libjpeg-turbo has vector instructions; repeating it would take a quarter longer. A
    window that begins inside a block is decoded starting at the block's first column and then cut,
    because TensorFlow would otherwise copy each row from a buffer, which takes up to 40 % longer.

    Args:
      encoded: string [N], JPEGs; N must be known when the graph is built.
      crop: int32 [top, left, height, width].

    Returns:
      uint8 [N, height, width, 3].
    """
    spare = crop[1] % _BLOCK
    whole_blocks = crop + spare * tf.constant([0, -1, 0, 1])

    def decode(frame: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(frame, whole_blocks, channels=3)[:, spare:]

    count = encoded.shape[0]
    if count is not None and count <= _MOST_UNROLLED:
        return tf.stack([decode(frame) for frame in tf.unstack(encoded)])
    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8))


# Module -> package.
_NEEDED = {"simplejpeg": "simplejpeg", "cv2": "opencv-python-headless"}


def check_installed() -> None:
    """Check that the packages for OpenCV decoding are installed.

    Raises:
      ValueError: a package is missing.
    """
    missing = []
    for module, package in _NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(package)
    if missing:
        raise ValueError(
            f"data.pixels=opencv needs {' and '.join(missing)}; install mmv_tf[fast], or set "
            "data.pixels=tensorflow."
        )


def clip_pixels(
    encoded: Any,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: bool,
    color: np.ndarray,
    result: np.ndarray,
    indices: np.ndarray | None = None,
    limits: Limits | None = None,
) -> None:
    """Decode one clip to pixels.

    Args:
      encoded, shape, crop, mirrored, color, indices: see `Plan`.
      result: array to fill, float32 [T, size, size, 3], contiguous.
      limits: upper limits on stored videos.

    Raises:
      ValueError: a frame cannot be decoded, or has another shape.
    """
    import cv2

    # The resized bytes use the last quarter of the floats' memory, which saves memory accesses. The
    # floats of a frame end no later than where the bytes of the next frame begin.
    resized = result.reshape(-1).view(np.uint8)[-result.size :].reshape(result.shape)
    if indices is None:
        _resize_windows(encoded, shape, crop, resized)
    else:
        limits = Limits() if limits is None else limits
        stored_video.resize_windows(encoded, indices, shape, crop, resized, limits)
    change = _change_of_bytes(color, resized, mirrored)
    changed, turned = np.empty_like(resized[0]), np.empty_like(resized[0])
    for frame, floats in zip(resized, result, strict=True):
        if change is not None:
            frame = cv2.transform(frame, change, dst=changed)
        if mirrored:
            frame = cv2.flip(frame, 1, dst=turned)
        # Done in one step, NumPy's conversion and multiplication take 50 % longer.
        np.copyto(floats, frame)
        np.multiply(floats, np.float32(1 / 255), out=floats)


def _resize_windows(
    encoded: np.ndarray, shape: np.ndarray, crop: np.ndarray, resized: np.ndarray
) -> None:
    """Decode all frames and resize their windows into `resized`, uint8 [T, H, W, 3], bilinearly."""
    import cv2
    import simplejpeg

    top, left, height, width = crop.tolist()
    size = resized.shape[2], resized.shape[1]
    decoded = np.empty((*shape, 3), np.uint8)
    for number, jpeg in enumerate(encoded):
        try:
            # TensorFlow's default inverse DCT, which gives the same bytes. A larger frame does not
            # fit, which raises an error before anything is decoded.
            frame = simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, buffer=decoded)
        except ValueError:
            window = _window_by_tensorflow(jpeg, crop, number)
        else:
            if frame.shape != decoded.shape:
                raise ValueError(
                    f"frame {number} is {frame.shape[1]} x {frame.shape[0]}, but the first is "
                    f"{shape[1]} x {shape[0]}"
                )
            window = frame[top : top + height, left : left + width]
        cv2.resize(window, size, dst=resized[number], interpolation=cv2.INTER_LINEAR)


def _window_by_tensorflow(jpeg: bytes, crop: np.ndarray, number: int) -> np.ndarray:
    """Decode a window of a JPEG that simplejpeg rejects.

    TensorFlow accepts some of those files, such as ones with a few extra bytes. Both decoders must
    reject the same files.
    """
    try:
        return decode_window(tf.constant([jpeg]), tf.constant(crop))[0].numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"frame {number} can't be decoded") from error


def _change_of_bytes(color: np.ndarray, clip: np.ndarray, mirrored: bool) -> np.ndarray | None:
    """Return a color change as float32 [3, 4] from bytes to bytes, or None if it changes nothing.

    Args:
      color: see `Plan`.
      clip: uint8 [T, H, W, 3], not yet mirrored. Its mean color is computed from the same pixels as
        in `augmentation.jitter_color`, which runs on the mirrored clip.
      mirrored: see `Plan`.
    """
    import cv2

    if np.array_equal(color, augmentation.NO_COLOR_CHANGE):
        return None
    step = augmentation.MEAN_STEP
    seen = clip[:, ::step, :: -step if mirrored else step]
    mean = np.array(cv2.mean(np.ascontiguousarray(seen).reshape(-1, 1, 3))[:3])
    turn, brightness, contrast = color[:, :3].astype(float), color[0, 3], color[0, 4]
    offset = turn @ (255 * brightness + (1 - contrast) * mean)
    return np.concatenate([contrast * turn, offset[:, np.newaxis]], axis=1).astype(np.float32)


Place: TypeAlias = tuple[int, ...]


# TensorFlow uses an array without copying it if its address is a multiple of this.
_ALIGNMENT = 64


class Memory:
    """Memory pool for results, which is reused once TensorFlow has released it.

    New memory costs a tenth of the time, because the kernel fills it with zeros.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an uninitialized float32 array for the result of a `tf.numpy_function`."""
        count = int(np.prod(shape))
        memory = self._free.pop() if self._free else _aligned(count)
        if memory.size != count:  # A smaller last batch, which is rare.
            memory = _aligned(count)
        lent = memory.reshape(shape)
        # TensorFlow keeps a reference to this array as long as its tensor exists.
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return lent


def _aligned(count: int) -> np.ndarray:
    """Return a float32 array [count] that TensorFlow uses without copying."""
    memory = np.empty(4 * count + _ALIGNMENT, np.uint8)
    skipped = -memory.ctypes.data % _ALIGNMENT
    return memory[skipped : skipped + 4 * count].view(np.float32)


def on_all_cores(make: Callable[[Place], None], places: Sequence[Place]) -> bool:
    """Call `make` for each place on a thread pool, and raise the error of any failed call.

    Returns:
      False if Python is exiting. TensorFlow reads ahead until the end, and an error would then
      appear on the terminal.
    """
    try:
        pending = [_threads().submit(make, place) for place in places]
    except RuntimeError:
        return False
    for call in pending:
        call.result()
    return True


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    """Return the process's pool; functions run on it should not hold Python's lock for long."""
    end_iterators_at_exit()
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "mmv_tf")


class Plan:
    """Keys in an example that describe how to compute its pixels; "video" replaces them.

    FRAMES: string [T], JPEGs; or a string scalar, a stored video.
    INDICES: int32 [T], frames of a stored video; only present with one.
    SHAPE: int32 [2], height and width of every frame.
    CROP: int32 [4], the window to decode: [top, left, height, width].
    MIRRORED: bool.
    COLOR: float32 [3, 5], see `augmentation.color_change`.
    SHARD: string, name of the record's shard.
    """

    FRAMES, INDICES = "frames", "indices"
    SHAPE, CROP, MIRRORED = "shape", "crop", "mirrored"
    COLOR, SHARD = "color", "shard"
    KEYS = (FRAMES, SHAPE, CROP, MIRRORED, COLOR, SHARD)


def no_plan(windows: int, num_frames: int, is_video: bool = False) -> Example:
    """Return placeholder plans [windows, ...] for a clip without frames."""
    frames = {Plan.FRAMES: tf.fill([windows, num_frames], "")}
    if is_video:
        frames = {
            Plan.FRAMES: tf.fill([windows], ""),
            Plan.INDICES: tf.zeros([windows, num_frames], tf.int32),
        }
    return frames | {
        Plan.SHAPE: tf.zeros([windows, 2], tf.int32),
        Plan.CROP: tf.zeros([windows, 4], tf.int32),
        Plan.MIRRORED: tf.zeros([windows], tf.bool),
        Plan.COLOR: tf.zeros([windows, 3, 5]),
        Plan.SHARD: tf.fill([windows], ""),
    }


def make_video(batch: Example, size: int, limits: Limits | None = None) -> Example:
    """Replace a batch's plans with "video", float32 [..., T, size, size, 3] in [0, 1].

    Args:
      batch: batch of examples with the keys of `Plan`, "valid/video" and "example_id"; leading
        dimensions are [B] or [B, windows]. Where "valid/video" is false, the pixels are zeros.
      size: height and width in pixels.
      limits: upper limits on stored videos.
    """
    batch = dict(batch)
    plans = [batch.pop(key) for key in Plan.KEYS]
    indices = [batch.pop(Plan.INDICES)] if Plan.INDICES in batch else []
    places = indices[0] if indices else plans[0]
    make = functools.partial(batch_pixels, size=size, memory=Memory(), limits=limits)
    # The function is stateless: the same plans give the same pixels, and iterators can be saved.
    arguments = [*plans, batch["valid/video"], batch["example_id"], *indices]
    video = tf.numpy_function(make, arguments, tf.float32, stateful=False)
    batch["video"] = tf.ensure_shape(video, [*places.shape, size, size, 3])
    return batch


def batch_pixels(
    encoded: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: np.ndarray,
    color: np.ndarray,
    shard: np.ndarray,
    valid: np.ndarray,
    example_id: np.ndarray,
    indices: np.ndarray | None = None,
    *,
    size: int,
    memory: Memory,
    limits: Limits | None = None,
) -> np.ndarray:
    """Return the pixels for a batch of plans, decoded on all cores; see `make_video`.

    Raises:
      ValueError: a clip cannot be decoded. The message names it in a form that `damage.explained`
        finds.
    """
    result = memory.array((*(encoded if indices is None else indices).shape, size, size, 3))

    def make(place: Place) -> None:
        if not valid[place]:
            result[place] = 0.0
            return
        clip = encoded[place], shape[place], crop[place], mirrored[place], color[place]
        chosen = None if indices is None else indices[place]
        try:
            clip_pixels(*clip, result[place], chosen, limits)
        except ValueError as error:
            where = f"{shard[place].decode()}, example {example_id[place].decode()}"
            raise ValueError(f"{UNSURE_START}{where}: {error}{MESSAGE_END}") from error

    if not on_all_cores(make, list(np.ndindex(valid.shape))):
        result.fill(np.nan)
    return result
