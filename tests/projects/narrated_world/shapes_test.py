# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from projects.narrated_world import shapes
from projects.narrated_world.scenes import SHAPES


def places():
    return (np.arange(shapes.CELLS) + 0.5) / shapes.CELLS * 2 * shapes.EXTENT - shapes.EXTENT


def area(table):
    cell = (2 * shapes.EXTENT / shapes.CELLS) ** 2
    return (table < 0).sum() * cell


AREAS = {
    "disc": np.pi * 0.9**2,
    "square": 1.6**2,
    "triangle": 3 * np.sqrt(3) / 4 * 1.1**2,
    "star": 10 * 0.5 * 1.1 * 0.45 * np.sin(np.pi / 5),
    "cross": 4 * 0.64 - 0.64**2,
    "ring": np.pi * (0.97**2 - 0.43**2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_areas_are_those_of_geometry(name):
    assert area(shapes.distance_table(SHAPES.index(name))) == pytest.approx(AREAS[name], rel=0.04)


def test_square_distances_equal_the_formula():
    table = shapes.distance_table(SHAPES.index("square")).reshape(shapes.CELLS, shapes.CELLS)
    for row in range(0, shapes.CELLS, 7):
        for column in range(0, shapes.CELLS, 7):
            x, y = abs(places()[column]) - 0.8, abs(places()[row]) - 0.8
            expected = np.hypot(max(x, 0), max(y, 0)) + min(max(x, y), 0)
            assert table[row, column] == pytest.approx(expected, abs=1e-5)


def test_the_dot_breaks_every_symmetry_inside_its_shape():
    dot = shapes.dot_table() < 0
    assert area(shapes.dot_table()) == pytest.approx(np.pi * 0.22**2, rel=0.05)
    for shape in range(len(SHAPES)):
        inside = shapes.distance_table(shape) < 0
        assert (dot & inside).sum() > 0.75 * dot.sum()
