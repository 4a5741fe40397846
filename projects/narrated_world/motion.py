# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Object motion: one description for both video and audio."""

from __future__ import annotations

import dataclasses

import numpy as np

from projects.narrated_world.scenes import MOTIONS, Scenes

# Margin at the border, in half frames.
_MARGIN = 0.04
# Amplitude of a pulsing object's size.
_PULSE = 0.4
# Points in a cycle at which an object strikes something (a wall, the floor, the ceiling).
_STRIKES: dict[str, tuple[float, ...]] = {
    "slides": (0.0, 0.5),
    "bounces": (0.0,),
    "circles": (),
    "pulses": (),
    "falls": (0.0,),
    "rises": (0.0,),
}


@dataclasses.dataclass(frozen=True)
class Track:
    """An object's path, float32 arrays over T times.

    Attributes:
      x, y: its center, in half frames; right and up are positive.
      scale: factor for its radius.
      angle: in turns, counterclockwise.
      contour: pitch contour in [-1, 1]: the height (when sliding, the horizontal position).
    """

    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    angle: np.ndarray
    contour: np.ndarray


def track(scenes: Scenes, clip: int, seconds: np.ndarray) -> Track:
    """Return the path of one clip's object.

    Args:
      scenes: the scenes.
      clip: the clip's index.
      seconds: [T], times since the start of the clip.
    """
    radius = float(scenes.radius[clip])
    room = 1.0 - radius - _MARGIN
    centre_x, centre_y = scenes.centre[clip] * room
    seconds = np.asarray(seconds, np.float64)
    cycles = scenes.phase[clip] + scenes.speed[clip] * seconds
    within = cycles % 1.0
    name = MOTIONS[scenes.motion[clip]]
    zero = np.zeros_like(within)
    x, y, scale, contour = zero + centre_x, zero + centre_y, zero + 1.0, zero
    if name == "slides":
        contour = 4.0 * np.abs(within - 0.5) - 1.0
        x = room * contour
    elif name == "bounces":
        contour = 8.0 * within * (1.0 - within) - 1.0
        y = room * contour
    elif name == "circles":
        contour = np.sin(2.0 * np.pi * cycles)
        x, y = room * np.cos(2.0 * np.pi * cycles), room * contour
    elif name == "pulses":
        scale = 1.0 + _PULSE * np.sin(2.0 * np.pi * cycles)
        # The object stays inside the frame even at its largest size.
        inside = max(0.0, 1.0 - _MARGIN - (1.0 + _PULSE) * radius) / room
        x, y = inside * x, inside * y
    else:
        contour = (1.0 - 2.0 * within) if name == "falls" else (2.0 * within - 1.0)
        y = room * contour
    angle = scenes.angle[clip] + scenes.spin[clip] * seconds
    return Track(*(values.astype(np.float32) for values in (x, y, scale, angle, contour)))


def strikes(scenes: Scenes, clip: int, duration: float) -> np.ndarray:
    """Return the times in [0, duration) at which a clip's object strikes something, ascending."""
    phase, speed = scenes.phase[clip], scenes.speed[clip]
    times = [
        (cycle + place - phase) / speed
        for cycle in range(int(np.ceil(phase + speed * duration)) + 1)
        for place in _STRIKES[MOTIONS[scenes.motion[clip]]]
    ]
    return np.sort([time for time in times if 0.0 <= time < duration])
