# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of clips and curves for a report, as self-contained HTML and SVG."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.classification.classifier import Classifier
from mmv_tf.classification.features import ClipReader
from mmv_tf.classification.labels import Clip
from mmv_tf.data.file_types import MediaError
from mmv_tf.inference.network import AUDIO, IMAGE
from mmv_tf.util.spacing import evenly_spaced

_SIDE = 112  # ours, pixels
_FRAMES = 4  # ours
_MOST_SECONDS = 30.0  # ours, of the audio drawn
_COLUMNS = 240  # ours, of a waveform


def clip_picture(clip: Clip, reader: ClipReader, classifier: Classifier) -> str:
    """Return HTML that shows a clip: frames, the image, or a waveform and log-mel.

    Args:
      clip: the clip.
      reader: the classifier's reader.
      classifier: the classifier, for its log-mel.
    """
    try:
        if reader.modality == AUDIO:
            return _sound(clip, reader, classifier)
        windows, starts = reader.read(clip)
    except MediaError as error:
        return f"<p>{html.escape(str(error))}</p>"
    if reader.modality == IMAGE:
        return _image(windows[0], f"Image {clip.title}")
    frames = windows.reshape(-1, *windows.shape[2:])
    times = starts[:, np.newaxis] + np.arange(windows.shape[1]) / reader.cut.frame_rate
    order = np.argsort(times.reshape(-1), kind="stable")
    chosen = order[evenly_spaced(len(order), _FRAMES)]
    shown = [
        _image(frames[index], f"Frame of {clip.title} at {times.reshape(-1)[index]:.1f} s")
        for index in chosen
    ]
    listed = ", ".join(f"{times.reshape(-1)[index]:.1f}" for index in chosen)
    return f'<div class="frames">{"".join(shown)}</div><p class="muted">{listed} s</p>'


def _sound(clip: Clip, reader: ClipReader, classifier: Classifier) -> str:
    from mmv_tf.data import media

    rate = reader.cut.sample_rate
    duration = media.probe(str(clip.path), "sound").duration
    end = min(duration, clip.end or duration, clip.start + _MOST_SECONDS)
    wave = media.read_waveform(str(clip.path), clip.start, end, rate)
    span = f"{clip.start:.1f} to {end:.1f} s"
    if len(wave) < 2:
        return "<p>There is no audio.</p>"
    mel = classifier.network.log_mel(tf.constant(wave[np.newaxis])).numpy()[0, ..., 0].T[::-1]
    shades = (mel - mel.min()) / max(float(np.ptp(mel)), 1e-9)
    spectrogram = _image(
        np.repeat((255 * shades).astype(np.uint8)[..., np.newaxis], 3, axis=2),
        f"Log-mel spectrogram of {clip.title}, {span}; low frequencies at the bottom",
        (480, 80),
    )
    waveform = _waveform(wave, f"Waveform of {clip.title}, {span}")
    return f'{waveform}{spectrogram}<p class="muted">{span}</p>'


def _waveform(wave: np.ndarray, title: str) -> str:
    """Return an SVG of the minimum and maximum in equal intervals."""
    parts = np.array_split(wave, min(_COLUMNS, len(wave)))
    tops = [f"{x},{40 - 38 * part.max():.1f}" for x, part in enumerate(parts)]
    bottoms = [f"{x},{40 - 38 * part.min():.1f}" for x, part in enumerate(parts)]
    points = " ".join([*tops, *reversed(bottoms)])
    return (
        f'<svg class="wave" viewBox="0 0 {len(parts) - 1} 80" preserveAspectRatio="none" '
        f'role="img" aria-label="{html.escape(title)}"><polygon points="{points}"/></svg>'
    )


def _image(pixels: np.ndarray, title: str, size: tuple[int, int] = (_SIDE, _SIDE)) -> str:
    """Return an image element with embedded data."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = size
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'alt="{html.escape(title)}">'
    )


def curve(points: Sequence[Mapping[str, float]], chosen: float) -> str:
    """Return an SVG of the held-out log loss by penalty, with the selected penalty marked."""
    losses = [point["log_loss"] for point in points]
    places = [math.log10(point["penalty"]) for point in points]
    low, high = min(losses), max(losses)
    left, right = min(places), max(places)

    def x(place: float) -> float:
        return 50 + 420 * (place - left) / max(right - left, 1e-9)

    def y(loss: float) -> float:
        return 160 - 130 * (loss - low) / max(high - low, 1e-9)

    line = " ".join(f"{x(p):.1f},{y(v):.1f}" for p, v in zip(places, losses, strict=True))
    best = next(n for n, point in enumerate(points) if point["penalty"] == chosen)
    dots = "".join(
        f'<circle class="{"best" if n == best else "other"}" cx="{x(place):.1f}" '
        f'cy="{y(loss):.1f}" r="{6 if n == best else 3}"/>'
        f'<text x="{x(place):.1f}" y="188" text-anchor="middle">{points[n]["penalty"]:g}</text>'
        for n, (place, loss) in enumerate(zip(places, losses, strict=True))
    )
    title = (
        f"Log loss on held-out clips by penalty: lowest {low:.3f}, at {chosen:g}; highest "
        f"{high:.3f}"
    )
    scale = (
        f'<text x="44" y="{y(low) + 4:.0f}" text-anchor="end">{low:.2f}</text>'
        f'<text x="44" y="{y(high) + 4:.0f}" text-anchor="end">{high:.2f}</text>'
    )
    return (
        f'<svg class="curve" viewBox="0 0 500 200" role="img" aria-label="{html.escape(title)}">'
        f'{scale}<polyline points="{line}"/>{dots}</svg>'
    )


def interval_bar(one: Mapping[str, Any] | None) -> str:
    """Return a metric's value with its interval, as text and a bar; "none" if it has no value."""
    if one is None:
        return '<span class="muted">none</span>'
    low, high = (100 * end for end in one["interval"])
    value = 100 * one["value"]
    return (
        f'{value:.0f} % <span class="muted">{low:.0f} to {high:.0f}</span>'
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="8"/>'
        f'<rect class="range" x="{low:.1f}" width="{max(high - low, 1):.1f}" height="8"/>'
        f'<rect class="value" x="{max(value - 0.75, 0):.1f}" width="1.5" height="8"/></svg>'
    )
