# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Outlines of the narrated world's objects, as tables of signed distances."""

from __future__ import annotations

import functools

import numpy as np

from projects.narrated_world.scenes import SHAPES

# A table spans [-EXTENT, EXTENT] in both directions, in radii of the object.
EXTENT = 1.3
CELLS = 96
# A dark off-center dot shows the object's angle despite symmetries.
_DOT_CENTRE, _DOT_RADIUS = (0.55, 0.0), 0.22


@functools.cache
def distance_table(shape: int) -> np.ndarray:
    """Return signed distances to a shape's outline, in radii: float32 [CELLS * CELLS].

    Distances are negative inside. Rows are y and columns x in the object's own axes, ascending.
    """
    x, y = _grid()
    name = SHAPES[shape]
    if name == "disc":
        distance = np.hypot(x, y) - 0.9
    elif name == "ring":
        distance = np.abs(np.hypot(x, y) - 0.7) - 0.27
    else:
        distance = _polygon_distance(_CORNERS[name](), x, y)
    return _frozen(distance)


@functools.cache
def dot_table() -> np.ndarray:
    """Return signed distances to the dark dot on all shapes."""
    x, y = _grid()
    return _frozen(np.hypot(x - _DOT_CENTRE[0], y - _DOT_CENTRE[1]) - _DOT_RADIUS)


def _frozen(distance: np.ndarray) -> np.ndarray:
    table = distance.astype(np.float32).ravel()
    table.flags.writeable = False
    return table


def _grid() -> tuple[np.ndarray, np.ndarray]:
    places = (np.arange(CELLS) + 0.5) / CELLS * 2 * EXTENT - EXTENT
    x, y = np.meshgrid(places, places)
    return x, y


def _regular(corners: int, radii: tuple[float, ...]) -> np.ndarray:
    """Return corners [N, 2] at equal angles, starting on the right, with cyclic radii."""
    angles = 2 * np.pi * np.arange(corners) / corners
    lengths = np.resize(radii, corners)
    return np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)


def _square() -> np.ndarray:
    return 0.8 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)


def _cross() -> np.ndarray:
    w, one = 0.32, 1.0
    return np.array(
        [
            *[(w, -one), (w, -w), (one, -w), (one, w), (w, w), (w, one)],
            *[(-w, one), (-w, w), (-one, w), (-one, -w), (-w, -w), (-w, -one)],
        ]
    )


_CORNERS = {
    "square": _square,
    "triangle": lambda: _regular(3, (1.1,)),
    "star": lambda: _regular(10, (1.1, 0.45)),
    "cross": _cross,
}


def _polygon_distance(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the signed distance of points to a polygon."""
    points = np.stack([x, y], axis=-1)
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        offset = points - start
        along = np.clip(offset @ edge / (edge @ edge), 0.0, 1.0)
        gap = offset - along[..., None] * edge
        nearest = np.minimum(nearest, np.hypot(gap[..., 0], gap[..., 1]))
        # Even-odd rule: count the edges that a ray to the right crosses.
        crosses = (start[1] > y) != (end[1] > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = start[0] + (y - start[1]) / edge[1] * edge[0]
        inside ^= crosses & (x < at)
    return np.where(inside, -nearest, nearest)
