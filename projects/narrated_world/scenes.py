# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scenes of the narrated world: its facts, coarse and fine, and their random draw.

The world is an endless video. Clip `index` is its two seconds number `index`; eight clips in a row
are an episode. In each clip one object moves, and turns as it moves. Three facts about it are
coarse, and narrators name them: shape, color and kind of motion. The others are fine: never named,
but audible in the details of the audio (see `sound`). A coarse fact stays the same from one clip to
the next with probability `persistence`, as things do in real videos.

All numbers here are ours.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from projects.narrated_world import counter_random

SHAPES = ("disc", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "green", "blue", "yellow", "pink", "white")
MOTIONS = ("slides", "bounces", "circles", "pulses", "falls", "rises")
# Coarse factors: number of classes, all equally likely.
COARSE = {"shape": len(SHAPES), "colour": len(COLOURS), "motion": len(MOTIONS)}
# Fine factors are continuous; as labels they are cut into equally likely bins.
FINE_BINS = 4
FINE = dict.fromkeys(("size", "speed", "phase", "spin"), FINE_BINS)
CHANCE = {name: 1 / count for name, count in {**COARSE, **FINE}.items()}
EPISODE_CLIPS = 8
# Parts of a clip: everything; only video and audio; only audio and narrations.
PARTS = ("whole", "no_text", "audio_only")
WHOLE, NO_TEXT, AUDIO_ONLY = range(len(PARTS))

# Radius of the object, in half frames: large enough to tell its shape in 32 pixels.
_RADIUS = (0.28, 0.46)
# Cycles of the motion a second: at 4 frames a second a fall still differs from a rise.
_SPEED = (0.4, 1.1)
# Turns a second; below half a turn between frames at 4 frames a second.
_SPIN = (0.15, 1.2)


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Facts of N clips, arrays of length N.

    Attributes:
      seed: the world's seed.
      index: the clips' numbers, int64.
      shape, colour, motion: coarse facts, indices into SHAPES, COLOURS, MOTIONS.
      radius: radius of the object, in half frames.
      speed: cycles of the motion a second.
      phase: phase of the motion when the clip begins, in [0, 1).
      spin: turns a second, counter-clockwise if positive.
      angle: angle of the object when the clip begins, in turns.
      centre: [N, 2] in [-1, 1], place of the object's path in the frame's free room.
      part: index into PARTS.
    """

    seed: int
    index: np.ndarray
    shape: np.ndarray
    colour: np.ndarray
    motion: np.ndarray
    radius: np.ndarray
    speed: np.ndarray
    phase: np.ndarray
    spin: np.ndarray
    angle: np.ndarray
    centre: np.ndarray
    part: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def factors(self) -> dict[str, np.ndarray]:
        """Return int32 labels [N] by factor, from 0 to COARSE[name] - 1 or FINE[name] - 1.

        "size", "speed" and "spin" (its amount; its direction is not audible) rise from bin to bin;
        "phase" is the quarter of the cycle in which the clip begins.
        """
        labels = {
            "shape": self.shape,
            "colour": self.colour,
            "motion": self.motion,
            "size": _bins(self.radius, _RADIUS),
            "speed": _bins(self.speed, _SPEED),
            "phase": (self.phase * FINE_BINS).astype(np.int64),
            "spin": _bins(np.abs(self.spin), _SPIN),
        }
        return {name: values.astype(np.int32) for name, values in labels.items()}


def draw(
    seed: int,
    index: np.ndarray,
    persistence: float,
    part_shares: tuple[float, float, float],
    coarse: np.ndarray | None = None,
) -> Scenes:
    """Draw the scenes of some clips.

    Args:
      seed: the world's seed.
      index: int [N], from 0 up; any order, repeats allowed.
      persistence: probability that a coarse fact stays the same from one clip to the next.
      part_shares: shares of PARTS.
      coarse: optional int [N, 3], shapes, colors and motions instead of drawn ones, for galleries
        with every combination once.

    Raises:
      ValueError: an index is negative, or a probability outside [0, 1].
    """
    index = np.asarray(index, np.int64)
    if index.ndim != 1 or (index < 0).any():
        raise ValueError(f"Clips are numbered from 0 up, in one dimension; got {index}.")
    episode, moment = np.divmod(index, EPISODE_CLIPS)
    if coarse is None:
        rows = np.arange(len(index))
        coarse = episode_coarse(seed, episode, persistence)[rows, moment]
    coarse = np.asarray(coarse, np.int64)

    def between(name: str, limits: tuple[float, float]) -> np.ndarray:
        """Draw uniformly in the logarithm."""
        low, high = np.log(limits)
        return np.exp(counter_random.uniform(seed, name, index, low=low, high=high))

    direction = 1 - 2 * counter_random.integers(seed, "direction", index, count=2)
    axes = np.arange(2)
    return Scenes(
        seed=seed,
        index=index,
        shape=coarse[:, 0],
        colour=coarse[:, 1],
        motion=coarse[:, 2],
        radius=between("radius", _RADIUS),
        speed=between("speed", _SPEED),
        phase=counter_random.uniform(seed, "phase", index),
        spin=direction * between("spin", _SPIN),
        angle=counter_random.uniform(seed, "angle", index),
        centre=counter_random.uniform(seed, "centre", index[:, None], axes, low=-1.0, high=1.0),
        part=counter_random.choices(seed, "part", episode, shares=part_shares),
    )


def episode_coarse(seed: int, episode: np.ndarray, persistence: float) -> np.ndarray:
    """Return coarse facts of episodes: int64 [N, EPISODE_CLIPS, 3] (shape, color, motion)."""
    if not 0.0 <= persistence <= 1.0:
        raise ValueError(f"persistence is {persistence}; it is a probability.")
    moments = np.arange(EPISODE_CLIPS)
    columns = []
    for name, count in COARSE.items():
        fresh = counter_random.integers(seed, name, episode[:, None], moments, count=count)
        stays = counter_random.uniform(seed, f"stays/{name}", episode[:, None], moments)
        for moment in range(1, EPISODE_CLIPS):
            kept = stays[:, moment] < persistence
            fresh[:, moment] = np.where(kept, fresh[:, moment - 1], fresh[:, moment])
        columns.append(fresh)
    return np.stack(columns, axis=-1)


def _bins(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = np.log(limits)
    places = (np.log(values) - low) / (high - low) * FINE_BINS
    return np.clip(places.astype(np.int64), 0, FINE_BINS - 1)
