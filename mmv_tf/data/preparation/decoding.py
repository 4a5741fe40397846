# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""From a source's clips to their records: what child processes do."""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mmv_tf.data import media
from mmv_tf.data.images import encode_image
from mmv_tf.data.preparation.plan import PlannedClip
from mmv_tf.data.preparation.publication import write_block
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, SOUND, TFDS
from mmv_tf.data.records import writer

# Ours: a piece of which more packets than this share can't be decoded is left out.
MOST_DAMAGED_SHARE = 0.1
# Why clips are left out.
CHANGING_SIZE = "clips_of_changing_size"

# The class of a layer [1, samples] -> [1, frames, bins, 1] with `step` and `sample_rate`, and its
# arguments. Handed in: data does not depend on layers.
LogMelSpec = tuple[Callable[..., Any], tuple[tuple[str, Any], ...]]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a child needs to know of one unit.

    Attributes:
      target: the block file to write.
      clips: by start.
      has_audio: whether there is a sound to read.
    """

    target: str
    clips: tuple[PlannedClip, ...]
    has_audio: bool


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What all units share.

    Attributes:
      settings: rates and sizes.
      labels: class ids.
      log_mel: makes the layer that computes spectrograms, for `settings.sound` "log_mel".
    """

    settings: Settings
    labels: dict[str, int]
    log_mel: LogMelSpec | None = None


def decode_units(
    path: str,
    kind: str,
    selection: str,
    timeline: media.Timeline | None,
    recipe: Recipe,
    units: Sequence[Work],
) -> Iterator[dict[str, Any]]:
    """Decodes units of one source into their block files: one pass for the pictures.

    Args:
      path: of the source.
      kind: of the source.
      selection: see `Source.selection`.
      timeline: of a film or a sound.
      recipe: what to make.
      units: by start.

    Yields:
      For each unit {"peak": the loudest sample's magnitude, "damage": for each kind the times of
      the packets or frames that were passed over, in milliseconds, "left_out": the indices of the
      clips that were left out because the picture's size changes in them}.

    Raises:
      MediaError: a unit can't be decoded, or more than 10 % of its packets; those before it were
        yielded.
    """
    settings = recipe.settings
    if kind == IMAGE:
        for unit in units:
            frame, height, width = encode_image(path, settings.short_side, settings.jpeg_quality)
            pictures = _Pictures([frame], height, width)
            yield _write(unit, recipe, _Shown([pictures] * len(unit.clips)), path)
    elif kind == TFDS:
        for unit in units:
            shown = _Shown(_tfds_pictures(path, selection, unit, settings))
            yield _write(unit, recipe, shown, path)
    elif kind == SOUND:
        for unit in units:
            shown = _Shown([_Pictures([], 0, 0)] * len(unit.clips))
            yield _write(unit, recipe, shown, path, timeline)
    else:
        for unit, shown in _film_pictures(path, timeline, units, settings):
            yield _write(unit, recipe, shown, path, timeline)


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """A clip's frames."""

    frames: list[bytes]
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What is seen in a unit.

    Attributes:
      pictures: of each clip; None of one in which the picture's size changes.
      damaged, disordered: times of packets and of frames that were passed over, seconds.
    """

    pictures: Sequence[_Pictures | None]
    damaged: Sequence[float] = ()
    disordered: Sequence[float] = ()


class _FilmUnit:
    """Collects the frames of a unit while the film goes by."""

    def __init__(self, unit: Work, frame_rate: float):
        self.unit = unit
        self._grids = [
            media.frame_times(clip.span.start_ms / 1000, clip.span.end_ms / 1000, frame_rate)
            for clip in unit.clips
        ]
        self.times = sorted({time for grid in self._grids for time in grid})
        self._frames: dict[float, bytes] = {}

    def take(self, time: float, jpeg: bytes) -> None:
        """Keeps a frame; those at times that no clip of the unit asks for do no harm."""
        self._frames[time] = jpeg

    def pictures(self, one_size: tuple[int, int] | None) -> list[_Pictures | None]:
        """Each clip's frames.

        Args:
          one_size: width and height of all pictures; None looks at each.
        """
        return [self._of_clip(grid, one_size) for grid in self._grids]

    def _of_clip(self, grid: Sequence[float], one_size: tuple[int, int] | None) -> _Pictures | None:
        frames = [self._frames[time] for time in grid]
        sizes = {one_size} if one_size is not None else {_jpeg_size(frame) for frame in frames}
        if len(sizes) > 1:
            return None
        width, height = sizes.pop()
        return _Pictures(frames, height, width)


def _jpeg_size(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return image.size


def _film_pictures(
    path: str, timeline: media.Timeline | None, units: Sequence[Work], settings: Settings
) -> Iterator[tuple[Work, _Shown]]:
    """Each unit with what is seen in it, from one pass over the film."""
    waiting = collections.deque(_FilmUnit(unit, settings.frame_rate) for unit in units)
    times = sorted({time for unit in waiting for time in unit.times})
    current: collections.deque[_FilmUnit] = collections.deque()
    tally = media.Tally()
    frames = media.iter_frames_at(
        path, times, settings.short_side, settings.jpeg_quality, timeline, tally
    )
    for time, jpeg in frames:
        while waiting and waiting[0].times[0] <= time:
            current.append(waiting.popleft())
        for unit in current:
            unit.take(time, jpeg)
        while current and current[0].times[-1] <= time:
            done = current.popleft()
            start, end = done.times[0], done.times[-1]
            damaged = _damage(tally, start, end, "picture", path)
            disordered = [t for t in tally.disordered if start <= t <= end]
            one_size = next(iter(tally.sizes)) if len(tally.sizes) == 1 else None
            yield done.unit, _Shown(done.pictures(one_size), damaged, disordered)


def _damage(tally: media.Tally, start: float, end: float, what: str, path: str) -> list[float]:
    """Times of the packets in a span that could not be decoded.

    Raises:
      MediaError: they are more than 10 %.
    """
    damaged = [time for time in tally.damaged if start <= time <= end]
    if not damaged:
        return []
    decoded = sum(start <= time <= end for time in tally.decoded)
    if len(damaged) > MOST_DAMAGED_SHARE * (len(damaged) + decoded):
        raise media.MediaError(
            f"{path}: {len(damaged)} of {len(damaged) + decoded} packets of {what} between "
            f"{start:.1f} and {end:.1f} s can't be decoded; get a whole copy."
        )
    return damaged


def _write(
    unit: Work,
    recipe: Recipe,
    shown: _Shown,
    path: str,
    timeline: media.Timeline | None = None,
) -> dict[str, Any]:
    """Writes the block file of a unit and returns its summary."""
    settings = recipe.settings
    waveform: np.ndarray | None = None
    low = min(clip.span.start_ms for clip in unit.clips)
    unheard: list[float] = []
    if unit.has_audio and settings.sound != "none":
        start, end = low / 1000, max(clip.span.end_ms for clip in unit.clips) / 1000
        tally = media.Tally()
        waveform = media.read_waveform(path, start, end, settings.sample_rate, timeline, tally)
        unheard = _damage(tally, start, end, "sound", path)
    peak = float(np.abs(waveform).max(initial=0.0)) if waveform is not None else 0.0
    log_mel = _log_mel(recipe.log_mel) if settings.sound == "log_mel" and recipe.log_mel else None

    def records() -> Iterator[bytes]:
        for clip, pictures in zip(unit.clips, shown.pictures, strict=True):
            if pictures is None:
                continue
            sound = None
            if waveform is not None:
                first = round((clip.span.start_ms - low) * settings.sample_rate / 1000)
                count = round((clip.span.end_ms - clip.span.start_ms) * settings.sample_rate / 1000)
                sound = waveform[first : first + count]
                # Rounding of both ends can ask for one sample more than the span has.
                sound = np.pad(sound, (0, count - len(sound)))
            spectrogram, rate = None, 0.0
            if sound is not None and log_mel is not None:
                spectrogram = np.asarray(log_mel(sound[np.newaxis]))[0, :, :, 0]
                rate, sound = log_mel.sample_rate / log_mel.step, None
            decoded = writer.ClipMedia(
                pictures.frames, pictures.height, pictures.width, sound, spectrogram, rate
            )
            example = writer.sequence_example(
                clip.span,
                decoded,
                clip.near,
                recipe.labels,
                settings.frame_rate,
                settings.sample_rate,
                clip.own,
            )
            yield example.SerializeToString(deterministic=True)

    times = {
        "packets_of_picture_not_decoded": shown.damaged,
        "packets_of_sound_not_decoded": unheard,
        "pictures_out_of_order": shown.disordered,
    }
    summary = {
        "peak": peak,
        "damage": {
            name: [round(t * 1000) for t in found] for name, found in times.items() if found
        },
        "left_out": [index for index, one in enumerate(shown.pictures) if one is None],
    }
    write_block(pathlib.Path(unit.target), records(), summary)
    return summary


@functools.cache
def _log_mel(spec: LogMelSpec) -> Any:
    """The layer, made once a process."""
    layer, arguments = spec
    return layer(**dict(arguments))


def _tfds_pictures(
    data_dir: str, selection: str, unit: Work, settings: Settings
) -> list[_Pictures]:
    """The pictures of a slice of a data set of TensorFlow Datasets, in its order."""
    from mmv_tf.data.datasets import tfds_images

    pictures = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow Datasets' own, of its dependencies.
        for image in tfds_images.read_images(data_dir, selection):
            frame, height, width = encode_image(
                image, settings.short_side, settings.jpeg_quality, name=selection
            )
            pictures.append(_Pictures([frame], height, width))
    if len(pictures) != len(unit.clips):
        raise media.MediaError(
            f"{selection}: got {len(pictures)} pictures; expected {len(unit.clips)}; prepare the "
            "data set of TensorFlow Datasets again."
        )
    return pictures
