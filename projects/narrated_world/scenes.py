# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scenes of the narrated world: coarse and fine facts, and their random generation.

The world is an endless video, in which clip `index` is the two-second segment number `index`; eight
consecutive clips form an episode. In each clip one object moves and turns. Three facts about the
object are coarse, and narrators name them: shape, color and kind of motion. The others are fine:
they are never named, but are audible in the details of the audio (see `sound`). A coarse fact stays
the same from one clip to the next with probability `persistence`, as in real videos.

All values are ours.
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
# Fine factors are continuous; as labels they are divided into equally likely bins.
FINE_BINS = 4
FINE = dict.fromkeys(("size", "speed", "phase", "spin"), FINE_BINS)
CHANCE = {name: 1 / count for name, count in {**COARSE, **FINE}.items()}
EPISODE_CLIPS = 8
# Parts of a clip: everything; only video and audio; only audio and narrations.
PARTS = ("whole", "no_text", "audio_only")
WHOLE, NO_TEXT, AUDIO_ONLY = range(len(PARTS))

# Radius of the object, in half frames: large enough to recognize its shape in 32 pixels.
_RADIUS = (0.28, 0.46)
# Motion cycles per second: at 4 frames per second, falling still differs from rising.
_SPEED = (0.4, 1.1)
# Turns per second; less than half a turn between frames at 4 frames per second.
_SPIN = (0.15, 1.2)


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Facts about N clips, arrays of length N.

    Attributes:
      seed: the world's seed.
      index: clip numbers, int64.
      shape, colour, motion: coarse facts, indices into SHAPES, COLOURS, MOTIONS.
      radius: the object's radius, in half frames.
      speed: motion cycles per second.
      phase: the motion's phase at the start of the clip, in [0, 1).
      spin: turns per second, counterclockwise if positive.
      angle: the object's angle at the start of the clip, in turns.
      centre: [N, 2] in [-1, 1], position of the object's path within the available space.
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

        "size", "speed" and "spin" (the absolute value, since the direction is not audible) increase
        from bin to bin; "phase" is the quarter of the cycle in which the clip begins.
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
    """Draw the scenes of the given clips.

    Args:
      seed: the world's seed.
      index: non-negative int [N], in any order; repeats are allowed.
      persistence: probability that a coarse fact stays the same from one clip to the next.
      part_shares: shares of PARTS.
      coarse: optional int [N, 3], shapes, colors and motions to use instead of random ones, for
        galleries with every combination once.

    Raises:
      ValueError: an index is negative, or a probability outside [0, 1].
    """
    index = np.asarray(index, np.int64)
    if index.ndim != 1 or (index < 0).any():
        raise ValueError(f"Clip numbers must be a 1-D array of non-negative integers; got {index}.")
    episode, moment = np.divmod(index, EPISODE_CLIPS)
    if coarse is None:
        rows = np.arange(len(index))
        coarse = episode_coarse(seed, episode, persistence)[rows, moment]
    coarse = np.asarray(coarse, np.int64)

    def between(name: str, limits: tuple[float, float]) -> np.ndarray:
        """Draw from a log-uniform distribution."""
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
    """Return the episodes' coarse facts: int64 [N, EPISODE_CLIPS, 3] (shape, color, motion)."""
    if not 0.0 <= persistence <= 1.0:
        raise ValueError(f"persistence is {persistence}; it must be a probability.")
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
