# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes and crops a clip's frames: in TensorFlow's graph, or by OpenCV on a thread pool."""

from __future__ import annotations

import atexit
import concurrent.futures
import functools
import gc
import importlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from mmv_tf.data.integrity.damage import MESSAGE_END, UNSURE_START
from mmv_tf.data.reading import augmentation
from mmv_tf.data.reading.settings import Example

# Above this many frames a loop takes the place of one node a frame: a graph's size has its price.
_MOST_UNROLLED = 160

# Columns of the blocks that most JPEGs are made of; of others (4:4:4: 8) it is a multiple.
_BLOCK = 16


def decode_window(encoded: tf.Tensor, crop: tf.Tensor) -> tf.Tensor:
    """Decodes one window of frames of equal size.

    One node a frame instead of a loop saves a tenth of the time. Colours are upsampled smoothly:
    libjpeg-turbo's smooth way takes a fifth less time than repeating them, which it does not do
    with vector instructions. A window that begins inside a block is decoded from the block's first
    column on, and cut: left to TensorFlow, which copies each row from a buffer then, decoding was
    measured to take up to 40 % longer.

    Args:
      encoded: string [N], JPEGs; N is known when the graph is made.
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
    """Imports what is needed.

    Raises:
      ValueError: it is not installed.
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
    encoded: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: bool,
    colour: np.ndarray,
    result: np.ndarray,
) -> None:
    """Makes one clip's pixels.

    Args:
      encoded, shape, crop, mirrored, colour: see `pixel_plans.Plan`.
      result: float32 [T, size, size, 3], contiguous; it is filled.

    Raises:
      ValueError: a frame can't be decoded, or has another shape.
    """
    import cv2

    # The resized bytes lie in the last quarter of the floats' own memory, so that no more is
    # touched: the floats of a frame end where the bytes of the next one begin, or before.
    resized = result.reshape(-1).view(np.uint8)[-result.size :].reshape(result.shape)
    _resize_windows(encoded, shape, crop, resized)
    change = _change_of_bytes(colour, resized, mirrored)
    changed, turned = np.empty_like(resized[0]), np.empty_like(resized[0])
    for frame, floats in zip(resized, result, strict=True):
        if change is not None:
            frame = cv2.transform(frame, change, dst=changed)
        if mirrored:
            frame = cv2.flip(frame, 1, dst=turned)
        # Converting while multiplying takes NumPy half as long again as one after the other.
        np.copyto(floats, frame)
        np.multiply(floats, np.float32(1 / 255), out=floats)


def _resize_windows(
    encoded: np.ndarray, shape: np.ndarray, crop: np.ndarray, resized: np.ndarray
) -> None:
    """Decodes every frame and resizes its window, bilinear, into `resized`, uint8 [T, H, W, 3]."""
    import cv2
    import simplejpeg

    top, left, height, width = crop.tolist()
    size = resized.shape[2], resized.shape[1]
    decoded = np.empty((*shape, 3), np.uint8)
    for number, jpeg in enumerate(encoded):
        try:
            # The inverse DCT that TensorFlow uses if nothing is said: the bytes are the same. A
            # larger frame does not fit, which is an error before anything is decoded.
            frame = simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=True, buffer=decoded)
        except ValueError:
            window = _window_by_tensorflow(jpeg, crop, number)
        else:
            if frame.shape != decoded.shape:
                raise ValueError(
                    f"frame {number} is {frame.shape[1]} x {frame.shape[0]}, the first is "
                    f"{shape[1]} x {shape[0]}"
                )
            window = frame[top : top + height, left : left + width]
        cv2.resize(window, size, dst=resized[number], interpolation=cv2.INTER_LINEAR)


def _window_by_tensorflow(jpeg: bytes, crop: np.ndarray, number: int) -> np.ndarray:
    """A window of a JPEG that libjpeg-turbo complains of.

    TensorFlow takes some of them, such as those with a few bytes too many. What is damage must not
    depend on who makes the pixels.
    """
    try:
        return decode_window(tf.constant([jpeg]), tf.constant(crop))[0].numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"frame {number} can't be decoded") from error


def _change_of_bytes(colour: np.ndarray, clip: np.ndarray, mirrored: bool) -> np.ndarray | None:
    """A change of colours as float32 [3, 4] from bytes to bytes; None if it changes nothing.

    Args:
      colour: see `pixel_plans.Plan`.
      clip: uint8 [T, H, W, 3], not yet mirrored; of its mean colour, those pixels are looked at
        that `augmentation.jitter_colour` looks at once it is.
      mirrored: see `pixel_plans.Plan`.
    """
    import cv2

    if np.array_equal(colour, augmentation.NO_COLOUR_CHANGE):
        return None
    step = augmentation.MEAN_STEP
    seen = clip[:, ::step, :: -step if mirrored else step]
    mean = np.array(cv2.mean(np.ascontiguousarray(seen).reshape(-1, 1, 3))[:3])
    turn, brightness, contrast = colour[:, :3].astype(float), colour[0, 3], colour[0, 4]
    offset = turn @ (255 * brightness + (1 - contrast) * mean)
    return np.concatenate([contrast * turn, offset[:, np.newaxis]], axis=1).astype(np.float32)


Place: TypeAlias = tuple[int, ...]


# TensorFlow takes an array over without copying it if it begins at a multiple of so many bytes.
_ALIGNMENT = 64


class Memory:
    """Memory for results, which is used again once TensorFlow has let go of it.

    Fresh memory costs a tenth of the whole: the kernel fills it with zeros.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 of any values, for a `tf.numpy_function` to return."""
        count = int(np.prod(shape))
        memory = self._free.pop() if self._free else _aligned(count)
        if memory.size != count:  # A last, smaller batch; it won't come back soon.
            memory = _aligned(count)
        lent = memory.reshape(shape)
        # TensorFlow holds this very array for as long as there is a tensor of it.
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return lent


def _aligned(count: int) -> np.ndarray:
    """Float32 [count] that TensorFlow takes over without copying."""
    memory = np.empty(4 * count + _ALIGNMENT, np.uint8)
    skipped = -memory.ctypes.data % _ALIGNMENT
    return memory[skipped : skipped + 4 * count].view(np.float32)


def on_all_cores(make: Callable[[Place], None], places: Sequence[Place]) -> bool:
    """Calls `make` for each place and raises what one of the calls raised.

    False if that can't be, since Python is about to end: TensorFlow reads ahead until the very end,
    for nobody to see, and an error would be written to the terminal.
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
    """One pool for the process; what it is given should not hold Python's lock for long."""
    atexit.register(_end_iterators)
    return concurrent.futures.ThreadPoolExecutor(os.cpu_count(), "mmv_tf")


def _end_iterators() -> None:
    """Ends all iterators of datasets, and waits for the calls that are under way.

    Left to the end of Python itself, a thread of TensorFlow's that is in Python then is killed, and
    TensorFlow, which waits for it, aborts or hangs: seen in half of the programs that ended while
    an iterator read ahead. To wait until none calls for a moment did not suffice.
    """
    for thing in gc.get_objects():
        if issubclass(type(thing), tf.data.Iterator):
            # There is no public way; it is what happens when the iterator itself goes.
            thing._iterator_resource = None
    gc.collect()


class Plan:
    """Keys of an example that say how its pixels are made; "video" takes their place.

    FRAMES: string [T], JPEGs.
    SHAPE: int32 [2], height and width of every frame.
    CROP: int32 [4], the window of them that is shown: [top, left, height, width].
    MIRRORED: bool.
    COLOUR: float32 [3, 5], see `augmentation.colour_change`.
    SHARD: string, where the record is from.
    """

    FRAMES, SHAPE, CROP, MIRRORED = "frames", "shape", "crop", "mirrored"
    COLOUR, SHARD = "colour", "shard"
    KEYS = (FRAMES, SHAPE, CROP, MIRRORED, COLOUR, SHARD)


def no_plan(windows: int, num_frames: int) -> Example:
    """What stands for the plans [windows, ...] of a clip without pictures."""
    return {
        Plan.FRAMES: tf.fill([windows, num_frames], ""),
        Plan.SHAPE: tf.zeros([windows, 2], tf.int32),
        Plan.CROP: tf.zeros([windows, 4], tf.int32),
        Plan.MIRRORED: tf.zeros([windows], tf.bool),
        Plan.COLOUR: tf.zeros([windows, 3, 5]),
        Plan.SHARD: tf.fill([windows], ""),
    }


def make_video(batch: Example, size: int) -> Example:
    """Replaces a batch's plans by "video", float32 [..., T, size, size, 3] in [0, 1].

    Args:
      batch: of examples with the keys of `Plan`, "valid/video" and "example_id"; leading dimensions
        [B] or [B, windows]. Where "valid/video" is false, the pixels are zeros.
      size: rows and columns of pixels.
    """
    batch = dict(batch)
    plans = [batch.pop(key) for key in Plan.KEYS]
    encoded = plans[0]
    make = functools.partial(batch_pixels, size=size, memory=Memory())
    # The same plans give the same pixels: with a state, iterators could not be saved.
    video = tf.numpy_function(
        make, [*plans, batch["valid/video"], batch["example_id"]], tf.float32, stateful=False
    )
    batch["video"] = tf.ensure_shape(video, [*encoded.shape, size, size, 3])
    return batch


def batch_pixels(
    encoded: np.ndarray,
    shape: np.ndarray,
    crop: np.ndarray,
    mirrored: np.ndarray,
    colour: np.ndarray,
    shard: np.ndarray,
    valid: np.ndarray,
    example_id: np.ndarray,
    *,
    size: int,
    memory: Memory,
) -> np.ndarray:
    """The pixels of a batch of plans, made on all cores; see `make_video`.

    Raises:
      ValueError: a clip can't be decoded. It says which, in a form that `damage.explained` finds.
    """
    result = memory.array((*encoded.shape, size, size, 3))

    def make(place: Place) -> None:
        if not valid[place]:
            result[place] = 0.0
            return
        clip = encoded[place], shape[place], crop[place], mirrored[place], colour[place]
        try:
            clip_pixels(*clip, result[place])
        except ValueError as error:
            where = f"{shard[place].decode()}, example {example_id[place].decode()}"
            raise ValueError(f"{UNSURE_START}{where}: {error}{MESSAGE_END}") from error

    if not on_all_cores(make, list(np.ndindex(valid.shape))):
        result.fill(np.nan)
    return result
