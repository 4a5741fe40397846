# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from projects.narrated_world import counter_random, scenes, sound
from projects.narrated_world.motion import strikes, track

RATE = 16_000


@pytest.fixture(scope="module")
def world():
    return scenes.draw(0, np.arange(60), 0.5, (1.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def synthesizer():
    return sound.Synthesizer(RATE, 2.0)


def test_a_tone_equals_a_naive_synthesis(world, synthesizer):
    discs = dataclasses.replace(world, shape=np.zeros_like(world.shape))
    clip = int(np.flatnonzero(world.motion == scenes.MOTIONS.index("circles"))[0])
    tone = synthesizer._tone(discs, clip, 0.25)
    course = track(discs, clip, np.arange(2 * RATE) / RATE)
    base = 240.0 * (0.46 / discs.radius[clip]) ** 2
    cycles, expected = 0.25, []
    for contour, angle in zip(course.contour, course.angle, strict=True):
        level = 0.25 * (1 - 0.9 * (0.5 + 0.5 * np.cos(2 * np.pi * 6 * angle)))
        expected.append(level * np.sqrt(2) * np.sin(2 * np.pi * cycles + 1.0))
        cycles += base * 2 ** (0.75 * contour) / RATE
    # Interpolation between control points and the table's 2,048 cells leave this much.
    assert np.abs(tone - expected).max() < 0.02
    assert np.corrcoef(tone, expected)[0, 1] > 0.999


def test_sound_is_bounded_deterministic_and_independent_of_neighbours(world, synthesizer):
    waveforms = synthesizer(world)
    assert waveforms.shape == (60, 2 * RATE)
    assert waveforms.dtype == np.float32
    assert np.abs(waveforms).max() <= 1.0
    assert (waveforms.std(axis=1) > 0.03).all()
    alone = synthesizer(scenes.draw(0, np.array([7]), 0.5, (1.0, 0.0, 0.0)))
    np.testing.assert_array_equal(alone[0], waveforms[7])


def test_clicks_are_heard_when_something_is_struck(world, synthesizer):
    # A click is the only sound above the sixth harmonic's highest pitch.
    waveforms = synthesizer(world)
    for clip in range(len(world)):
        pieces = waveforms[clip].reshape(-1, 320) * np.hanning(320)  # 20 ms
        loud = np.abs(np.fft.rfft(pieces, axis=1))[:, 152:].mean(axis=1)  # above 7,600 Hz
        for time in strikes(world, clip, 1.95):
            assert loud[int(time / 0.02) : int(time / 0.02) + 3].max() > 3 * np.median(loud)


def test_colour_and_direction_of_turning_are_not_heard(world, synthesizer):
    other = dataclasses.replace(
        world, colour=(world.colour + 1) % 6, spin=-world.spin, angle=-world.angle
    )
    np.testing.assert_allclose(synthesizer(world), synthesizer(other), atol=1e-6)


def test_every_other_fact_is_heard(world, synthesizer):
    waveforms = synthesizer(world)
    for name, value in (
        ("shape", (world.shape + 1) % 6),
        ("motion", (world.motion + 1) % 6),
        ("speed", world.speed * 1.3),
        ("phase", (world.phase + 0.3) % 1.0),
        ("spin", world.spin * 1.3),
        ("radius", world.radius * 0.9),
    ):
        changed = synthesizer(dataclasses.replace(world, **{name: value}))
        different = np.abs(changed - waveforms).max(axis=1) > 0.01
        assert different.all(), name


def test_wrong_rates_are_refused():
    for rate in (8_000, 16_001):
        with pytest.raises(ValueError, match="sample_rate is"):
            sound.Synthesizer(rate, 2.0)


def test_hiss_is_cut_from_the_pool(world, synthesizer):
    places = counter_random.bits(0, "hiss", world.index)
    assert len(np.unique(places)) == len(world)
