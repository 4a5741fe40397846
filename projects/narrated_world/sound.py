# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Audio of the narrated world: a tone that follows the details of the motion.

| visible | audible |
|---|---|
| shape | timbre: the tone's harmonics |
| size | pitch (smaller is higher) |
| position in the motion cycle (speed, phase) | pitch contour; when pulsing: loudness |
| strikes against a wall, the floor, the ceiling | clicks |
| turning (absolute speed) | tremolo, `TREMOLO_PER_TURN` beats per turn |
| color, direction of turning, position of a pulsing object | nothing |
"""

from __future__ import annotations

import functools

import numpy as np

from projects.narrated_world import counter_random
from projects.narrated_world.motion import strikes, track
from projects.narrated_world.scenes import MOTIONS, SHAPES, Scenes

TREMOLO_PER_TURN = 6
# Amplitudes of the harmonics, starting with the first, by shape; ours, to be distinguishable.
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
# As a fraction of the tone's amplitude; ours.
_TREMOLO_DEPTH = 0.9
_TONE = 0.25
# A click: duration in seconds, time constant of its decay, amplitude; ours.
_CLICK_SECONDS, _CLICK_DECAY, _CLICK = 0.12, 0.025, 0.35
# Nuisance factors: loudness and hiss, log-uniform; ours.
_LOUDNESS = (0.5, 1.0)
_HISS = (0.002, 0.02)
# Rate at which the motion is computed; it is interpolated in between.
_CONTROL_HZ = 250
_CYCLE_SAMPLES = 2048


class Synthesizer:
    """A synthesizer of the scenes' audio.

    Args:
      sample_rate: sample rate in Hz, a multiple of 250.
      seconds: clip duration; a multiple of 1/250.

    Raises:
      ValueError: the rate is not a multiple of 250 Hz, or is below 16,000 Hz, where tones alias.
    """

    def __init__(self, sample_rate: int, seconds: float):
        if sample_rate % _CONTROL_HZ or sample_rate < 16_000:
            raise ValueError(
                f"sample_rate is {sample_rate}; it must be at least 16000 and a multiple of "
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
        """Return waveforms for N scenes: float32 [N, samples] in [-1, 1]."""
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
        # Cumulative cycles at the control rate (trapezoidal rule), in double precision and then
        # modulo one, so that the interpolated phase is accurate enough in single precision.
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
    """Return one cycle of a shape's tone, float32, with a root mean square of 1."""
    cycle = np.arange(_CYCLE_SAMPLES) / _CYCLE_SAMPLES
    wave = np.zeros(_CYCLE_SAMPLES)
    for number, amplitude in enumerate(_HARMONICS[SHAPES[shape]], 1):
        # Quadratic phases keep the crest factor low; they are inaudible.
        wave += amplitude * np.sin(2 * np.pi * number * cycle + number * number)
    wave /= np.sqrt(np.mean(np.square(wave)))
    table = wave.astype(np.float32)
    table.flags.writeable = False
    return table
