# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lays out the report's charts, which templates/charts.html.j2 draws as SVG."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmv_tf.evaluation.retrieval import normalize
from mmv_tf.quickstart.report.results import Run
from mmv_tf.quickstart.report.statements import clock
from mmv_tf.util.spacing import evenly_spaced

# Ours, in SVG units: the size of a line chart, of its plot area, and of the heat map.
WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 424, 12, 222
HEAT_SIDE = 440
_TICKS = 5
_HEAT_TICKS = 6
# Ours: dark to bright, with evenly increasing lightness.
_COLORS = np.array(
    [(14, 11, 46), (62, 25, 107), (134, 38, 110), (202, 70, 82), (242, 132, 58), (252, 232, 150)],
    np.float64,
)

Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Tick:
    """An axis tick: its position in the SVG, and its label."""

    place: float
    label: str


@dataclasses.dataclass(frozen=True)
class Line:
    """A line in a chart: its label, CSS class, and points in SVG syntax."""

    label: str
    style: str
    points: str


@dataclasses.dataclass(frozen=True)
class LineChart:
    """A chart of lines over training steps.

    Attributes:
      title, x_label, y_label: texts.
      description: summary of the chart for screen readers.
      lines: the lines.
      x_ticks, y_ticks: ticks on the axes.
    """

    title: str
    x_label: str
    y_label: str
    description: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """The similarity between every narration and every clip.

    Attributes:
      picture: data URL of a PNG image.
      ticks: times in the film, along both axes.
      frames: (start, side) of the squares that mark held-out blocks.
      low, high: the cosines of the darkest and the brightest color.
      scale: data URL of a PNG image with the colors from low to high.
    """

    picture: str
    ticks: list[Tick]
    frames: list[tuple[float, float]]
    low: float
    high: float
    scale: str


def line_chart(
    title: str, x_label: str, y_label: str, series: Sequence[tuple[str, str, Points]]
) -> LineChart:
    """Lay out a line chart whose vertical axis starts at 0.

    Args:
      title, x_label, y_label: texts.
      series: label, CSS class and (x, y) points of each line; non-finite points are omitted.
    """
    finite = [
        (label, style, [(x, y) for x, y in points if math.isfinite(y)])
        for label, style, points in series
    ]
    everything = [point for _, _, points in finite for point in points]
    x_ticks = round_steps(max((x for x, _ in everything), default=1.0))
    y_ticks = round_steps(max((y for _, y in everything), default=1.0))
    across = (RIGHT - LEFT) / x_ticks[-1]
    upward = (BOTTOM - TOP) / y_ticks[-1]

    def place(x: float, y: float) -> str:
        return f"{LEFT + across * x:.1f},{BOTTOM - upward * y:.1f}"

    return LineChart(
        title,
        x_label,
        y_label,
        "; ".join(
            f"{label}: from {points[0][1]:.2f} to {points[-1][1]:.2f}"
            for label, _, points in finite
            if points
        ),
        [
            Line(label, style, " ".join(place(x, y) for x, y in points))
            for label, style, points in finite
        ],
        [Tick(LEFT + across * x, f"{x:g}") for x in x_ticks],
        [Tick(BOTTOM - upward * y, f"{y:g}") for y in y_ticks],
    )


def round_steps(most: float) -> list[float]:
    """Return about five round values, from 0 to the first that is not below `most`."""
    if not most > 0:
        most = 1.0
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [round(index * step, 10) for index in range(math.ceil(most / step - 1e-9) + 1)]


def loss_chart(run: Run) -> LineChart:
    """Chart the training loss."""
    names = {
        "train/loss": ("total", "ink"),
        "train/loss/va": ("video with audio", "second"),
        "train/loss/vt": ("video with text", "accent"),
    }
    return line_chart(
        "On training clips",
        "training step",
        "loss (lower is better)",
        [(label, style, run.scalars.get(name, [])) for name, (label, style) in names.items()],
    )


def rank_chart(run: Run) -> LineChart | None:
    """Chart the mean ranks of test clips during training; None if none were recorded."""
    names = {
        "held_out/text_to_video": ("sentence → clip", "accent"),
        "held_out/video_to_audio": ("clip → its audio", "second"),
        "held_out/text_to_audio": ("sentence → audio", "third"),
    }
    series = [
        (label, style, run.scalars[f"{name}/mean_rank"])
        for name, (label, style) in names.items()
        if f"{name}/mean_rank" in run.scalars
    ]
    if not series:
        return None
    counts = {
        values[-1][1]
        for name, values in run.scalars.items()
        if name.startswith("held_out/") and name.endswith("/count")
    }
    steps = run.config["training"]["steps"]
    chance = (max(counts) + 1) / 2
    return line_chart(
        "On test clips",
        "training step",
        "mean rank of the correct clip",
        [*series, (f"chance, {chance:g}", "muted", [(0, chance), (steps, chance)])],
    )


def heat_map(run: Run) -> HeatMap:
    """Lay out the similarities between all narrations and all clips."""
    embeddings = run.embeddings
    text = normalize(embeddings["text/vat"], "text")
    video = normalize(embeddings["video/vat"], "video")
    similarity = text @ video.T
    count = len(similarity)
    low, high = float(similarity.min()), float(similarity.max())
    shades = (similarity - low) / max(high - low, 1e-9)
    side = HEAT_SIDE / count
    places = evenly_spaced(count, _HEAT_TICKS)
    return HeatMap(
        _png(shades),
        [Tick((place + 0.5) * side, clock(embeddings["starts"][place])) for place in places],
        [(start * side, (end - start) * side) for start, end in stretches(embeddings["is_test"])],
        low,
        high,
        _png(np.linspace(0, 1, 64)[np.newaxis]),
    )


def stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return [start, end) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _png(shades: np.ndarray) -> str:
    """Return the data URL of an image of values in [0, 1], float [rows, columns]."""
    knots = np.linspace(0, 1, len(_COLORS))
    pixels = np.stack([np.interp(shades, knots, _COLORS[:, band]) for band in range(3)], axis=-1)
    stream = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
