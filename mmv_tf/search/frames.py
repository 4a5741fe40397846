# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Frames of windows in an index, by which an image finds the moment that it comes from.

  INDEX/segments/NAME/frames.npy         float16 [frames, 128], unit vectors, see `FrameEncoder`
  INDEX/segments/NAME/frame_ranges.npy   int64 [rows, 2], a window's frames, from first to last + 1

Successive frames that are nearly identical are stored once, and shared by the windows that show
them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmv_tf.deflation import DeflationError, deflate_naively
from mmv_tf.inference import Encoder, as_encoder, unit
from mmv_tf.inference.encoder import DEFLATED
from mmv_tf.inference.windows import Windows
from mmv_tf.search.exact import RangesTerm
from mmv_tf.search.store import write_array

if TYPE_CHECKING:
    from mmv_tf.search.parts import Moved, Placed
    from mmv_tf.search.store import Segment

# Name of frames among the matrices of an index.
FRAMES = "frames"
_VECTORS, _RANGES = "frames", "frame_ranges"
# Ours, as are the following: frames per second of video. With half as many, twice as many frames
# of Big Buck Bunny find another moment.
FRAMES_PER_SECOND = 4.0
MAX_FRAMES_PER_SECOND = 60.0
# Side of the layout in pixels, and features of the network.
_SIDE, _FEATURES = 8, 64
SIZE = _SIDE * _SIDE + _FEATURES
# Weight of the layout in the cosine. The deflated model's features alone, averages over the frame,
# can't distinguish lines of text or similar scenes (95 of 100 frames found); the layout alone has
# no content.
_LAYOUT_SHARE = 0.3
# Minimum cosine at which successive frames are stored as one, a quarter of them in that film. At
# 0.998 a third is saved, but frames of still scenes are found in another part of the scene.
_ALIKE = 0.999


class FrameEncoder:
    """Describes frames by what a network sees in them and by their layout.

    A vector consists of the deflated network's features, projected at random, and the brightness in
    8 x 8 fields. The deflated model need not be fitted, since frames are compared only with frames.
    For a network that can't be deflated, the feature part is empty.

    Args:
      encoder: the model.
    """

    def __init__(self, encoder: Encoder):
        self._features = _deflated(encoder)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return unit vectors, float32 [N, 128], for frames, uint8 [N, size, size, 3].

        A frame without layout and features has a vector of zeros.
        """
        parts = [math.sqrt(_LAYOUT_SHARE) * unit(_layout(frames))]
        if self._features is None:
            parts.append(np.zeros([len(frames), _FEATURES], np.float32))
        else:
            found = self._features(frames)
            share = math.sqrt(1 - _LAYOUT_SHARE)
            parts.append(share * unit(found @ _projection(found.shape[1])))
        return unit(np.concatenate(parts, axis=1))


@dataclasses.dataclass(frozen=True)
class FrameTable:
    """Frames of successive windows.

    Attributes:
      vectors: float32 [F, 128].
      ranges: int64 [W, 2], first frame of each window, and last + 1.
    """

    vectors: np.ndarray
    ranges: np.ndarray


class FrameSampler:
    """Chooses and describes the frames of windows.

    Args:
      encode: the encoder.
      rate: minimum frames per second; as few more as possible are described.
      windows: window settings.

    Attributes:
      finer: number of frames to decode per window frame.
    """

    def __init__(self, encode: FrameEncoder, rate: float, windows: Windows):
        self._encode = encode
        self._num_frames = windows.num_frames
        self.finer = max(1, math.ceil(rate / windows.frame_rate - 1e-6))
        self._stride = max(1, math.floor(windows.frame_rate * self.finer / rate + 1e-6))

    def table(self, frames: np.ndarray, starts: Sequence[int]) -> FrameTable:
        """Describe the frames of windows.

        Args:
          frames: uint8 [F, size, size, 3] beginning at the first window's start, `finer` per window
            frame.
          starts: the windows' starts, in window frames.
        """
        vectors = self._encode(frames[:: self._stride])
        kept, places = [0], [0]
        for at in range(1, len(vectors)):
            if not _alike(vectors[at], vectors[kept[-1]]):
                kept.append(at)
            places.append(len(kept) - 1)
        place, last = np.array(places, np.int64), len(places) - 1
        firsts = (np.asarray(starts, np.int64) - starts[0]) * self.finer
        lasts = firsts + self._num_frames * self.finer - 1
        # From the first described frame that is not before the window to the last one in it.
        begins = place[np.minimum(-(-firsts // self._stride), last)]
        ends = place[np.minimum(lasts // self._stride, last)]
        return FrameTable(vectors[kept], np.stack([begins, np.maximum(begins, ends) + 1], axis=1))


def joined(tables: Sequence[FrameTable]) -> FrameTable:
    """Return the frames of all windows in several tables."""
    offsets = np.cumsum([0, *(len(table.vectors) for table in tables)])
    return FrameTable(
        np.concatenate([table.vectors for table in tables]),
        np.concatenate(
            [table.ranges + offset for table, offset in zip(tables, offsets, strict=False)]
        ),
    )


class FramesPart:
    """A segment's frames; see `parts.Part`."""

    def write(self, folder: pathlib.Path, videos: Sequence[Placed]) -> None:
        """Write the frames of new videos, if they have them."""
        tables = [placed.video.frames for placed in videos]
        if tables and all(table is not None for table in tables):
            _save(folder, joined([table for table in tables if table is not None]))

    def merge(self, folder: pathlib.Path, moved: Sequence[Moved]) -> None:
        """Write the frames of merged windows, if all their segments have them."""
        if all(move.segment.file(f"{_VECTORS}.npy") for move in moved):
            _save(folder, joined([_copied(move) for move in moved]))


def frames_term(segment: Segment, vector: np.ndarray, weight: float) -> RangesTerm:
    """Return the term for a query by frame.

    Raises:
      ValueError: the files don't match the segment.
    """
    table = _stored(segment)
    return RangesTerm(table.vectors, table.ranges, vector, weight)


def first_frame(segment: Segment, row: int) -> np.ndarray:
    """Return the vector of a window's first frame, float32 [128].

    Raises:
      ValueError: the files don't match the segment.
    """
    table = _stored(segment)
    return np.asarray(table.vectors[table.ranges[row, 0]], np.float32)


def _stored(segment: Segment) -> FrameTable:
    """Return a segment's mapped frames, with vectors in float16."""
    vectors, ranges = (segment.optional_array(name) for name in (_VECTORS, _RANGES))
    if vectors is None or ranges is None or ranges.shape != (segment.rows, 2):
        raise ValueError(f"{segment.directory} has no frames; build the index again.")
    return FrameTable(vectors, ranges)


def _copied(move: Moved) -> FrameTable:
    table = _stored(move.segment)
    own = np.asarray(table.ranges[move.first : move.first + move.count])
    low = int(own.min())
    return FrameTable(np.asarray(table.vectors[low : int(own.max())]), own - low)


def _save(folder: pathlib.Path, table: FrameTable) -> None:
    vectors, ranges = table.vectors, table.ranges
    write_array(folder, _VECTORS, vectors.shape, [vectors], np.float16)
    write_array(folder, _RANGES, ranges.shape, [ranges], np.int64)


def _deflated(encoder: Encoder) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return a function for frame features, or None if it would take as long as clips."""
    if encoder.image_by == DEFLATED:
        return lambda frames: _first(encoder.embed_image(frames))
    model: Any = getattr(encoder.network, "model", None)
    if model is None:
        return None
    try:
        deflated = as_encoder(deflate_naively(model, encoder.settings.num_frames))
    except DeflationError:
        return None
    return lambda frames: _first(deflated.embed_image(frames))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    # Black frames may have nothing to be described by.
    return bool(one @ other >= _ALIKE) or not (one.any() or other.any())


def _first(features: dict[str, np.ndarray]) -> np.ndarray:
    return next(iter(features.values()))


@functools.cache
def _projection(size: int) -> np.ndarray:
    """Return a projection, float32 [size, 64], the same on every machine."""
    # The legacy generator's stream never changes.
    drawn = np.random.RandomState(0).standard_normal((size, _FEATURES))
    return (drawn / math.sqrt(_FEATURES)).astype(np.float32)


def _layout(frames: np.ndarray) -> np.ndarray:
    """Return the brightness in fields, with its mean removed, float32 [N, 64]."""
    edges = np.arange(_SIDE) * frames.shape[1] // _SIDE
    gray = frames.mean(axis=-1, dtype=np.float32)
    sums = np.add.reduceat(np.add.reduceat(gray, edges, axis=1), edges, axis=2)
    counts = np.diff([*edges, frames.shape[1]]).astype(np.float32)
    fields = (sums / np.outer(counts, counts)).reshape(len(frames), -1)
    return fields - fields.mean(axis=1, keepdims=True)
