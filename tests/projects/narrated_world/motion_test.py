# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from projects.narrated_world import motion, scenes

SECONDS = np.linspace(0, 2, 2001)


@pytest.fixture(scope="module")
def world():
    return scenes.draw(0, np.arange(200), 0.5, (1.0, 0.0, 0.0))


def of_kind(world, name):
    return np.flatnonzero(world.motion == scenes.MOTIONS.index(name))


def test_objects_stay_in_the_picture(world):
    for clip in range(len(world)):
        course = motion.track(world, clip, SECONDS)
        reach = world.radius[clip] * course.scale
        assert (np.abs(course.x) + reach).max() <= 1.0
        assert (np.abs(course.y) + reach).max() <= 1.0
        assert np.abs(course.contour).max() <= 1.0


@pytest.mark.parametrize("name", ["bounces", "circles", "falls", "rises"])
def test_pitch_follows_height(world, name):
    for clip in of_kind(world, name)[:5]:
        course = motion.track(world, clip, SECONDS)
        assert np.corrcoef(course.y, course.contour)[0, 1] > 0.9999


def test_falling_goes_down_and_rising_up_but_for_the_jump(world):
    for name, sign in (("falls", -1), ("rises", 1)):
        for clip in of_kind(world, name)[:5]:
            steps = sign * np.diff(motion.track(world, clip, SECONDS).y)
            assert ((steps > 0) | (steps < -0.5)).all()
            assert (steps < -0.5).sum() == len(motion.strikes(world, clip, 2.0))


def test_speed_is_cycles_a_second_and_spin_turns_a_second(world):
    for clip in of_kind(world, "circles")[:5]:
        course = motion.track(world, clip, SECONDS)
        turned = np.unwrap(np.arctan2(course.y, course.x))
        assert (turned[-1] - turned[0]) / (4 * np.pi) == pytest.approx(world.speed[clip], rel=1e-3)
        assert course.angle[-1] - course.angle[0] == pytest.approx(2 * world.spin[clip], abs=1e-4)


def test_strikes_are_where_the_motion_turns(world):
    for name in ("slides", "bounces"):
        for clip in of_kind(world, name)[:5]:
            contour = motion.track(world, clip, SECONDS).contour
            rising = np.diff(contour) > 0
            turns = SECONDS[1:-1][rising[1:] != rising[:-1]]
            if name == "bounces":  # only the floor is struck
                turns = [t for t in turns if np.interp(t, SECONDS, contour) < 0]
            found = motion.strikes(world, clip, 2.0)
            inner = found[(found > 0.01) & (found < 1.99)]
            np.testing.assert_allclose(turns, inner, atol=0.005)
    assert len(motion.strikes(world, of_kind(world, "pulses")[0], 2.0)) == 0


def test_a_pulsing_object_changes_its_size_alone(world):
    clip = of_kind(world, "pulses")[0]
    course = motion.track(world, clip, SECONDS)
    assert np.ptp(course.x) == np.ptp(course.y) == np.ptp(course.contour) == 0
    slow = dataclasses.replace(world, speed=np.full(len(world), 0.5))
    scale = motion.track(slow, clip, SECONDS).scale
    assert (scale.min(), scale.max()) == pytest.approx((0.6, 1.4), abs=1e-3)
