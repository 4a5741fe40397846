# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Video of the narrated world: clips of one antialiased object on an uneven, noisy background."""

from __future__ import annotations

import numpy as np

from projects.narrated_world import counter_random, shapes
from projects.narrated_world.motion import track
from projects.narrated_world.scenes import Scenes

# Red, green, blue in [0, 1], in the order of `scenes.COLOURS`; ours.
_PAINT = np.array(
    [
        (0.90, 0.12, 0.10),
        (0.12, 0.75, 0.20),
        (0.15, 0.30, 0.95),
        (0.95, 0.85, 0.10),
        (0.95, 0.35, 0.80),
        (0.95, 0.95, 0.95),
    ],
    np.float32,
)
# Nuisance factors without effect on narration or audio: deviation of the object's color;
# brightness, tint and unevenness of the background; variation of the light; camera noise. In units
# of full brightness; ours.
_PAINT_SPREAD = 0.08
_GROUND = (0.1, 0.45)
_TINT = 0.06
_SLOPE = 0.12
_LIGHT = (0.75, 1.05)
_NOISE = 0.03
_DOT_SHADE = 0.25


class Renderer:
    """A renderer of scenes as clips.

    Args:
      size: height and width in pixels.
      num_frames: frames in a clip.
      frame_rate: frame rate in Hz.
    """

    def __init__(self, size: int, num_frames: int, frame_rate: float):
        self.size = size
        self.num_frames = num_frames
        self.frame_rate = frame_rate
        places = (np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0
        # Pixel positions in half frames: x increases to the right, y upwards.
        self._x = places[np.newaxis, np.newaxis, :]
        self._y = -places[np.newaxis, :, np.newaxis]
        self._noise = counter_random.NoisePool()

    def __call__(self, scenes: Scenes) -> np.ndarray:
        """Render N scenes as clips: uint8 [N, num_frames, size, size, 3]."""
        count = len(scenes)
        clips = np.empty((count, self.num_frames, self.size, self.size, 3), np.uint8)
        paint, ground, light, places = self._nuisances(scenes)
        for clip in range(count):
            self._render(scenes, clip, paint[clip], ground[clip], light[clip], places[clip], clips)
        return clips

    def _nuisances(self, scenes: Scenes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return paint [N, 3], background [N, size, size, 3], light [N], noise positions [N]."""

        def draw(name: str, columns: int, low: float, high: float) -> np.ndarray:
            drawn = counter_random.uniform(
                scenes.seed, name, scenes.index[:, None], np.arange(columns), low=low, high=high
            )
            return drawn.astype(np.float32)

        paint = _PAINT[scenes.colour] + draw("paint", 3, -_PAINT_SPREAD, _PAINT_SPREAD)
        tint = draw("ground", 1, *_GROUND) + draw("tint", 3, -_TINT, _TINT)
        slope = draw("slope", 2, -_SLOPE, _SLOPE)[:, :, None, None]
        uneven = slope[:, 0] * self._x + slope[:, 1] * self._y
        ground = tint[:, None, None, :] + uneven[..., None]
        light = draw("light", 1, *_LIGHT)[:, 0]
        return paint, ground, light, counter_random.bits(scenes.seed, "grain", scenes.index)

    def _render(
        self,
        scenes: Scenes,
        clip: int,
        paint: np.ndarray,
        ground: np.ndarray,
        light: float,
        place: int,
        clips: np.ndarray,
    ) -> None:
        course = track(scenes, clip, np.arange(self.num_frames) / self.frame_rate)
        column = (slice(None), np.newaxis, np.newaxis)
        radius = (float(scenes.radius[clip]) * course.scale)[column]
        cosine = np.cos(2 * np.pi * course.angle)[column]
        sine = np.sin(2 * np.pi * course.angle)[column]
        # From pixels to table cells, which are aligned with the object's rotated axes.
        cells = shapes.CELLS / (2 * shapes.EXTENT) / radius
        right, up = self._x - course.x[column], self._y - course.y[column]
        own_x = (right * (cosine * cells) + shapes.CELLS / 2) + up * (sine * cells)
        own_y = (up * (cosine * cells) + shapes.CELLS / 2) - right * (sine * cells)
        last = shapes.CELLS - 1
        np.clip(own_x, 0, last, out=own_x)
        np.clip(own_y, 0, last, out=own_y)
        cell = own_y.astype(np.int32)
        cell *= shapes.CELLS
        cell += own_x.astype(np.int32)
        # Distance in pixels; an edge is one pixel wide.
        pixels = radius * (self.size / 2)
        cover = _coverage(shapes.distance_table(int(scenes.shape[clip])).take(cell), pixels)
        dot = _coverage(shapes.dot_table().take(cell), pixels)
        shade = 1.0 - (1.0 - _DOT_SHADE) * dot
        shade *= cover
        frames = np.empty((*cover.shape, 3), np.float32)
        cover -= 1.0
        for channel in range(3):
            # ground * (1 - cover) + paint * shade, where shade already includes cover.
            np.multiply(cover, -ground[..., channel], out=frames[..., channel])
            frames[..., channel] += shade * paint[channel]
        frames *= 255.0 * light
        grain = self._noise.slice(place, frames.size).reshape(frames.shape)
        frames += (255.0 * _NOISE) * grain
        np.clip(frames, 0.0, 255.0, out=frames)
        clips[clip] = frames


def _coverage(distance: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Compute in place the fraction of each pixel inside an outline."""
    distance *= -pixels
    distance += 0.5
    return np.clip(distance, 0.0, 1.0, out=distance)
