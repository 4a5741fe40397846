# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images for a run's log: film strips with spectrograms, and similarity matrices."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmv_tf.util.spacing import evenly_spaced

# Ours: sizes in pixels that read well in TensorBoard's cards, which are about 380 wide, and a color
# scale from dark to light whose brightness increases evenly, so that it also reads in gray.
_FRAME_HEIGHT, _GAP = 64, 2
_SPECTROGRAM_HEIGHT = 64
_LINE_HEIGHT, _FONT_SIZE, _LINE_CHARACTERS = 18, 13, 56
_WIDTH = 384
_SCALE = np.array([[6, 4, 20], [74, 20, 107], [170, 50, 95], [240, 130, 60], [252, 250, 190]])
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def matrix(values: np.ndarray, title: str) -> np.ndarray:
    """Return a matrix as an image, with its smallest value dark and its largest light.

    Args:
      values: float [rows, columns].
      title: text below the image; the range of the values follows it.

    Returns:
      uint8 [H, W, 3], 384 pixels wide; each value is a block, or several share a pixel.
    """
    image = Image.fromarray(_colors(values))
    factor = _WIDTH / max(values.shape)
    size = max(1, round(values.shape[1] * factor)), max(1, round(values.shape[0] * factor))
    resampling = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX
    scale = f"dark {values.min():.2f}, light {values.max():.2f}"
    return _page([image.resize(size, resampling), *_lines((title, scale), size[0])], size[0])


def clip(frames: np.ndarray, log_mel: np.ndarray | None, lines: Sequence[str]) -> np.ndarray:
    """Return a clip as an image: its film strip, its spectrogram and lines of text.

    Args:
      frames: uint8 [T, H, W, 3]; as many as fit are shown, evenly spaced.
      log_mel: float [frames, mel_bins], time from left to right and high frequencies at the top;
        None if there is no audio.
      lines: texts below the image, wrapped.

    Returns:
      uint8 [H, W, 3].
    """
    strip = _film_strip(frames)
    width = max(strip.width, _WIDTH)
    parts = [strip]
    if log_mel is not None:
        spectrogram = Image.fromarray(_colors(log_mel.T[::-1]))
        size = (strip.width, _SPECTROGRAM_HEIGHT)
        parts.append(spectrogram.resize(size, Image.Resampling.NEAREST))
    return _page([*parts, *_lines(lines, width)], width)


def _page(parts: Sequence[Image.Image], width: int) -> np.ndarray:
    """Return images stacked vertically, uint8 [H, W, 3]."""
    page = Image.new("RGB", (width, sum(part.height + _GAP for part in parts)), _PAPER)
    top = 0
    for part in parts:
        page.paste(part, (0, top))
        top += part.height + _GAP
    return np.asarray(page)


def _film_strip(frames: np.ndarray) -> Image.Image:
    width = max(1, round(frames.shape[2] * _FRAME_HEIGHT / frames.shape[1]))
    count = min(len(frames), max(2, _WIDTH // width))
    places = evenly_spaced(len(frames), count)
    strip = Image.new("RGB", (count * (width + _GAP), _FRAME_HEIGHT), _PAPER)
    for number, place in enumerate(places):
        frame = Image.fromarray(frames[place]).resize((width, _FRAME_HEIGHT))
        strip.paste(frame, (number * (width + _GAP), 0))
    return strip


def _lines(texts: Sequence[str], width: int) -> list[Image.Image]:
    """Return texts as images of one line each; continuation lines are indented."""
    font = ImageFont.load_default(_FONT_SIZE)
    lines = []
    for text in texts:
        for part in textwrap.wrap(text, _LINE_CHARACTERS, subsequent_indent="    "):
            line = Image.new("RGB", (width, _LINE_HEIGHT), _PAPER)
            ImageDraw.Draw(line).text((2, 0), part, _INK, font)
            lines.append(line)
    return lines


def _colors(values: np.ndarray) -> np.ndarray:
    """Return values as colors, uint8 [..., 3]; the smallest value is the darkest."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    share = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9)
    stops = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(share, stops, _SCALE[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
