# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random numbers that depend only on their coordinates, for whole arrays at once.

With a stateful generator, a clip would depend on the clips drawn before it. Here each number is a
hash of (seed, name of the quantity, index, ...): the same in any order, batch, process or run. The
hash is the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), applied once per
coordinate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
# Number of samples of white noise, from which clips use slices; ours, 4 MiB.
_NOISE_SAMPLES = 1 << 20


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def bits(seed: int, name: str, *coordinates: np.ndarray | int) -> np.ndarray:
    """Return uint64 hashes of (seed, name, coordinates), in the coordinates' broadcast shape.

    Args:
      seed: any integer.
      name: name of the drawn quantity; different names yield independent numbers.
      coordinates: integers.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    key = np.array(int.from_bytes(digest[:8], "little"), np.uint64)
    with np.errstate(over="ignore"):  # overflow is intended
        for coordinate in coordinates:
            step = np.asarray(coordinate).astype(np.int64).astype(np.uint64)
            key = _mix((key ^ step) + _GOLDEN)
    return key


def uniform(
    seed: int, name: str, *coordinates: np.ndarray | int, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Return float64 numbers from [low, high); see `bits`."""
    unit = (bits(seed, name, *coordinates) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return low + (high - low) * unit


def integers(seed: int, name: str, *coordinates: np.ndarray | int, count: int) -> np.ndarray:
    """Return int64 numbers from 0 to count - 1; see `bits`."""
    return (uniform(seed, name, *coordinates) * count).astype(np.int64)


def choices(
    seed: int, name: str, *coordinates: np.ndarray | int, shares: Sequence[float]
) -> np.ndarray:
    """Return int64 numbers from 0 to len(shares) - 1, number i with the probability shares[i].

    Raises:
      ValueError: the shares are negative or don't sum to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError(f"The shares {tuple(shares)} must be from 0 to 1 and add up to 1.")
    borders = np.cumsum(shares)[:-1]
    return np.searchsorted(borders, uniform(seed, name, *coordinates), side="right")


class NoisePool:
    """Slices of white noise: standard normal float32, the same in every world.

    Separate noise for each clip would cost more than the clip; a slice at a random position in one
    pool looks and sounds the same and costs nothing.
    """

    def __init__(self) -> None:
        self._samples = np.random.default_rng(0).standard_normal(_NOISE_SAMPLES, np.float32)

    def slice(self, place: int, count: int) -> np.ndarray:
        """Return a read-only view of `count` samples; `place` is any integer.

        Raises:
          ValueError: the pool has fewer samples.
        """
        if count > _NOISE_SAMPLES:
            raise ValueError(f"The pool has {_NOISE_SAMPLES} samples; {count} were requested.")
        start = int(place) % (_NOISE_SAMPLES - count + 1)
        view = self._samples[start : start + count]
        view.flags.writeable = False
        return view
