# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from projects.narrated_world import rendering, scenes
from projects.narrated_world.motion import track

SIZE = 48


@pytest.fixture(scope="module")
def world():
    return scenes.draw(0, np.arange(40), 0.5, (1.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def clips(world):
    return rendering.Renderer(SIZE, 8, 4.0)(world)


def test_clips_equal_a_naive_renderer(world, monkeypatch):
    monkeypatch.setattr(rendering, "_NOISE", 0.0)
    discs = dataclasses.replace(world, shape=np.zeros_like(world.shape))
    renderer = rendering.Renderer(SIZE, 2, 4.0)
    frames = renderer(discs)
    paint, ground, light, _ = renderer._nuisances(discs)
    for clip in (0, 5):
        course = track(discs, clip, np.arange(2) / 4.0)
        for t in range(2):
            radius = discs.radius[clip] * course.scale[t]
            angle = 2 * np.pi * course.angle[t]
            expected = np.empty((SIZE, SIZE, 3))
            for row in range(SIZE):
                for column in range(SIZE):
                    x = (column + 0.5) / SIZE * 2 - 1 - course.x[t]
                    y = -((row + 0.5) / SIZE * 2 - 1) - course.y[t]
                    own_x = (x * np.cos(angle) + y * np.sin(angle)) / radius
                    own_y = (y * np.cos(angle) - x * np.sin(angle)) / radius
                    pixels = radius * SIZE / 2
                    cover = np.clip(0.5 - (np.hypot(own_x, own_y) - 0.9) * pixels, 0, 1)
                    dot = np.clip(0.5 - (np.hypot(own_x - 0.55, own_y) - 0.22) * pixels, 0, 1)
                    colour = paint[clip] * (1 - 0.75 * dot)
                    mixed = ground[clip, row, column] * (1 - cover) + colour * cover
                    expected[row, column] = np.clip(255 * light[clip] * mixed, 0, 255)
            error = np.abs(frames[clip, t] - expected)
            # The table of distances is coarser than the edge of a pixel, so edges differ a little.
            assert error.mean() < 1.5
            assert np.median(error) <= 1.0


def test_the_object_is_where_its_track_says(world, clips):
    grid = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    for clip in range(len(world)):
        course = track(world, clip, np.arange(8) / 4.0)
        picture = clips[clip].astype(float)
        # The ground's slope is what most pixels agree on over time.
        differs = np.abs(picture - np.median(picture, axis=0)).sum(axis=-1) > 90
        if scenes.MOTIONS[world.motion[clip]] == "pulses":
            continue
        for t in range(8):
            near = np.hypot(grid[None, :] - course.x[t], -grid[:, None] - course.y[t])
            inside = near < world.radius[clip] * 1.2
            gone = differs[t] & ~inside
            elsewhere = np.zeros_like(inside)
            for other in range(8):
                near = np.hypot(grid[None, :] - course.x[other], -grid[:, None] - course.y[other])
                elsewhere |= near < world.radius[clip] * 1.2
            assert (gone & ~elsewhere).mean() < 0.01


def test_colours_can_be_told(world, clips):
    # White and pale grounds apart: the object's pixels lean towards its paint.
    for clip in range(len(world)):
        course = track(world, clip, np.zeros(1))
        if scenes.SHAPES[world.shape[clip]] == "ring":
            continue
        column = int((course.x[0] + 1) / 2 * SIZE)
        row = int((1 - course.y[0]) / 2 * SIZE)
        seen = clips[clip, 0, row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))
        paint = rendering._PAINT / np.linalg.norm(rendering._PAINT, axis=1, keepdims=True)
        nearest = np.argmax(paint @ (seen / np.linalg.norm(seen)))
        assert nearest == world.colour[clip]


def test_clips_do_not_depend_on_their_neighbours(world, clips):
    alone = rendering.Renderer(SIZE, 8, 4.0)(scenes.draw(0, np.array([7]), 0.5, (1.0, 0.0, 0.0)))
    np.testing.assert_array_equal(alone[0], clips[7])
    assert clips.dtype == np.uint8
