# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Small media whose classes are easily told apart."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image

from tests import media_samples

NOTES = {"high": 3000.0, "low": 200.0, "noise": None}
RATES = (16_000, 22_050, 48_000)


def write_sounds(
    folder: pathlib.Path, count: int = 6, seconds: float = 2.0, seed: int = 0
) -> pathlib.Path:
    """Folders of notes and noise, at several sample rates."""
    random = np.random.default_rng(seed)
    for label, note in NOTES.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            rate = RATES[number % len(RATES)]
            times = np.arange(round(seconds * rate)) / rate
            wave = 0.05 * random.normal(size=len(times))
            if note is None:
                wave *= 5
            else:
                wave += 0.4 * np.sin(2 * np.pi * note * random.uniform(0.9, 1.1) * times)
            media_samples.write_wav(folder / label / f"{number}.wav", wave, rate)
    return folder


TINTS = {"blue": (0.2, 0.2, 1.0), "red": (1.0, 0.2, 0.2)}


def write_films(folder: pathlib.Path, count: int = 4, seconds: float = 2.0) -> pathlib.Path:
    """Folders of blue and red films."""
    for label, tint in TINTS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            media_samples.write_film(
                folder / label / f"{number}.mp4", seconds, 10, audio=None, tint=tint,
                codec="mpeg4", gop=5 + number,
            )  # fmt: skip
    return folder


def write_images(folder: pathlib.Path, count: int = 5) -> pathlib.Path:
    """Folders of blue and red images."""
    random = np.random.default_rng(0)
    for label, tint in TINTS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(60, 255, [40, 50, 3]) * np.array(tint)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder
