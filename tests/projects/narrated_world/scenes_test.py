# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from projects.narrated_world import scenes

PARTS = (0.7, 0.2, 0.1)


def draw(index, seed=0, **kwargs):
    settings = {"persistence": 0.5, "part_shares": PARTS, **kwargs}
    return scenes.draw(seed, np.asarray(index), **settings)


def test_every_label_is_as_frequent_as_its_chance_level_says():
    factors = draw(np.arange(24_000)).factors()
    assert set(factors) == set(scenes.CHANCE)
    for name, labels in factors.items():
        classes = {**scenes.COARSE, **scenes.FINE}[name]
        shares = np.bincount(labels, minlength=classes) / len(labels)
        assert len(shares) == classes
        np.testing.assert_allclose(shares, scenes.CHANCE[name], atol=0.015, err_msg=name)


def test_fine_facts_tell_nothing_of_coarse_ones_or_each_other():
    factors = draw(np.arange(0, 80_000, scenes.EPISODE_CLIPS)).factors()
    names = list(factors)
    for i, first in enumerate(names):
        for second in names[:i]:
            joint = np.histogram2d(factors[first], factors[second], (6, 6))[0] / 10_000
            outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
            assert np.abs(joint - outer).max() < 0.012, (first, second)


def test_coarse_facts_stay_as_often_as_persistence_says():
    for persistence in (0.0, 0.5, 1.0):
        coarse = scenes.episode_coarse(0, np.arange(3000), persistence)
        for column, count in enumerate(scenes.COARSE.values()):
            same = (coarse[:, 1:, column] == coarse[:, :-1, column]).mean()
            expected = persistence + (1 - persistence) / count
            assert same == pytest.approx(expected, abs=0.015)


def test_a_clip_is_the_same_alone_and_among_others():
    whole = draw(np.arange(64))
    for index in (0, 7, 8, 63):
        alone = draw([index])
        for name in ("shape", "colour", "motion", "speed", "phase", "spin", "radius", "part"):
            assert getattr(alone, name)[0] == getattr(whole, name)[index]
        np.testing.assert_array_equal(alone.centre[0], whole.centre[index])
    assert not np.array_equal(draw(np.arange(64), seed=1).speed, whole.speed)


def test_parts_are_whole_episodes_with_their_shares():
    parts = draw(np.arange(40_000)).part.reshape(-1, scenes.EPISODE_CLIPS)
    assert (parts == parts[:, :1]).all()
    shares = np.bincount(parts[:, 0]) / len(parts)
    np.testing.assert_allclose(shares, PARTS, atol=0.02)


def test_given_coarse_facts_are_taken_and_the_fine_ones_kept():
    index = np.arange(5)
    given = draw(index, coarse=np.tile([1, 2, 3], (5, 1)))
    assert set(given.shape) == {1}
    assert set(given.colour) == {2}
    assert set(given.motion) == {3}
    np.testing.assert_array_equal(given.speed, draw(index).speed)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        draw([-1])
    with pytest.raises(ValueError, match="persistence is 1"):
        draw([0], persistence=1.5)
    with pytest.raises(ValueError, match="add up to 1"):
        draw([0], part_shares=(0.5, 0.2, 0.1))
