# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Audio of the narrated world: a tone whose details follow the details of the motion.

| visible | audible |
|---|---|
| shape | timbre: the tone's harmonics |
| size | pitch: the smaller, the higher |
| place in the motion's cycle (speed, phase) | the pitch's rise and fall; of pulsing: loudness |
| strikes against a wall, the floor, the ceiling | clicks |
| turning (its amount) | tremolo, `TREMOLO_PER_TURN` beats a turn |
| color, direction of turning, place of a pulsing object | nothing |
"""

from __future__ import annotations

import functools

import numpy as np

from projects.narrated_world import counter_random
from projects.narrated_world.motion import strikes, track
from projects.narrated_world.scenes import MOTIONS, SHAPES, Scenes

TREMOLO_PER_TURN = 6
# Amplitudes of the harmonics from the first on, by shape; ours, chosen to be distinguishable.
_HARMONICS = {
    "disc": (1.0,),
    "square": (1.0, 0.0, 0.6, 0.0, 0.4),
    "triangle": (0.6, 1.0),
    "star": (0.5, 0.0, 0.0, 0.7, 0.7, 0.5),
    "cross": (0.9, 0.5, 0.5, 0.5),
    "ring": (0.4, 0.0, 1.0, 0.0, 0.0, 0.6),
}
# Frequency of an object of radius 0.46 in Hz, and exponent of pitch by size; ours. With the
# contour's octaves, the sixth harmonic stays below the log-mel's upper edge of 7,600 Hz.
_BASE_HZ, _BASE_RADIUS, _PITCH_POWER = 240.0, 0.46, 2.0
_CONTOUR_OCTAVES = 0.75
# Fraction of a tone's amplitude; ours.
_TREMOLO_DEPTH = 0.9
_TONE = 0.25
# A click: seconds, the time in which it falls to 1/e, amplitude; ours.
_CLICK_SECONDS, _CLICK_DECAY, _CLICK = 0.12, 0.025, 0.35
# Nuisances: loudness and hiss, uniform in the logarithm; ours.
_LOUDNESS = (0.5, 1.0)
_HISS = (0.002, 0.02)
# Rate of the computed course, with interpolation between.
_CONTROL_HZ = 250
_CYCLE_SAMPLES = 2048


class Synthesizer:
    """Synthesizer of the scenes' audio.

    Args:
      sample_rate: sample rate in Hz, a multiple of 250.
      seconds: duration of a clip; a multiple of 1/250.

    Raises:
      ValueError: the rate is not a multiple, or below 16,000 Hz, where the tones would alias.
    """

    def __init__(self, sample_rate: int, seconds: float):
        if sample_rate % _CONTROL_HZ or sample_rate < 16_000:
            raise ValueError(
                f"sample_rate is {sample_rate}; it must be 16000 or more, a multiple of "
                f"{_CONTROL_HZ}."
            )
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.samples = round(seconds * _CONTROL_HZ) * (sample_rate // _CONTROL_HZ)
        step = sample_rate // _CONTROL_HZ
        self._control = np.arange(self.samples // step + 1) / _CONTROL_HZ
        self._between = (np.arange(step, dtype=np.float32) / step)[np.newaxis]
        self._noise = counter_random.NoisePool()
        length = round(_CLICK_SECONDS * sample_rate)
        decay = np.exp(-np.arange(length) / (_CLICK_DECAY * sample_rate))
        self._click = (_CLICK * decay * np.clip(self._noise.slice(0, length), -2, 2)).astype("f4")

    def __call__(self, scenes: Scenes) -> np.ndarray:
        """Return waveforms of N scenes: float32 [N, samples] in [-1, 1]."""
        waveforms = np.empty((len(scenes), self.samples), np.float32)
        loudness = self._levels(scenes, "loudness", _LOUDNESS)
        hiss = self._levels(scenes, "hiss", _HISS)
        start = counter_random.uniform(scenes.seed, "tone", scenes.index)
        places = counter_random.bits(scenes.seed, "hiss", scenes.index)
        for clip in range(len(scenes)):
            sound = self._tone(scenes, clip, start[clip])
            for time in strikes(scenes, clip, self.seconds):
                first = int(time * self.sample_rate)
                room = sound[first : first + len(self._click)]
                room += self._click[: len(room)]
            sound *= loudness[clip]
            sound += hiss[clip] * self._noise.slice(places[clip], self.samples)
            np.clip(sound, -1.0, 1.0, out=waveforms[clip])
        return waveforms

    def _levels(self, scenes: Scenes, name: str, limits: tuple[float, float]) -> np.ndarray:
        low, high = np.log(limits)
        drawn = counter_random.uniform(scenes.seed, f"{name}/level", scenes.index)
        return np.exp(low + (high - low) * drawn).astype(np.float32)

    def _tone(self, scenes: Scenes, clip: int, start: float) -> np.ndarray:
        course = track(scenes, clip, self._control)
        base = _BASE_HZ * (_BASE_RADIUS / scenes.radius[clip]) ** _PITCH_POWER
        hertz = base * np.exp2(_CONTOUR_OCTAVES * course.contour.astype(np.float64))
        # Cycles so far at the control rate (trapezoids), in double precision and then modulo one,
        # so that the interpolated phase is exact enough in single precision.
        cycles = np.concatenate([[0.0], np.cumsum((hertz[1:] + hertz[:-1]) / 2) / _CONTROL_HZ])
        step = np.diff(cycles).astype(np.float32)[:, np.newaxis]
        first = ((cycles[:-1] + start) % 1.0).astype(np.float32)[:, np.newaxis]
        phase = first + step * self._between
        phase *= _CYCLE_SAMPLES
        cell = phase.astype(np.int32)
        cell &= _CYCLE_SAMPLES - 1
        tone = _wavetable(int(scenes.shape[clip])).take(cell)
        beat = np.cos(2 * np.pi * TREMOLO_PER_TURN * course.angle)
        level = _TONE * (1.0 - _TREMOLO_DEPTH * (0.5 + 0.5 * beat))
        if MOTIONS[scenes.motion[clip]] == "pulses":
            level = level * np.square(course.scale / course.scale.max())
        level = level.astype(np.float32)
        rise = np.diff(level)[:, np.newaxis]
        tone *= level[:-1, np.newaxis] + rise * self._between
        return tone.reshape(-1)


@functools.cache
def _wavetable(shape: int) -> np.ndarray:
    """Return one cycle of a shape's tone with a root mean square of 1: float32."""
    cycle = np.arange(_CYCLE_SAMPLES) / _CYCLE_SAMPLES
    wave = np.zeros(_CYCLE_SAMPLES)
    for number, amplitude in enumerate(_HARMONICS[SHAPES[shape]], 1):
        # Quadratic phases keep the crest factor low; they are inaudible.
        wave += amplitude * np.sin(2 * np.pi * number * cycle + number * number)
    wave /= np.sqrt(np.mean(np.square(wave)))
    table = wave.astype(np.float32)
    table.flags.writeable = False
    return table
