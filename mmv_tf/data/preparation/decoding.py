# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decodes a source's clips into records, in child processes."""

from __future__ import annotations

import collections
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mmv_tf.data import media
from mmv_tf.data.images import encode_image
from mmv_tf.data.preparation.blocks import write_block
from mmv_tf.data.preparation.collecting import (
    ClipFrames,
    Collector,
    JpegCollector,
    VideoCollector,
)
from mmv_tf.data.preparation.plan import PlannedClip
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.sources import IMAGE, SOUND, TFDS
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records import shard_writer
from mmv_tf.data.records.manifests import VIDEO_STORE
from mmv_tf.data.stored_clips.clip_encoder import with_sound
from mmv_tf.util.storage.urls import local_of

# Ours: a unit is left out if more than this fraction of its packets cannot be decoded.
MOST_DAMAGED_SHARE = 0.1
# Reason for leaving clips out.
CHANGING_SIZE = "clips_of_changing_size"

# The class and arguments of a layer [1, samples] -> [1, frames, bins, 1] with `step` and
# `sample_rate`. Callers pass it in, because the data package does not depend on layers.
LogMelSpec = tuple[Callable[..., Any], tuple[tuple[str, Any], ...]]


@dataclasses.dataclass(frozen=True)
class DecodeJob:
    """One unit for a child process to decode.

    Attributes:
      target: the name of the block file to write.
      clips: clips sorted by start.
      has_audio: True if there is audio to read.
    """

    target: str
    clips: tuple[PlannedClip, ...]
    has_audio: bool


@dataclasses.dataclass(frozen=True)
class DecodeOptions:
    """Options common to all units.

    Attributes:
      settings: rates and sizes.
      labels: class ids by name.
      folder: folder for the block files.
      log_mel: layer that computes spectrograms if `settings.sound` is "log_mel".
    """

    settings: Settings
    labels: dict[str, int]
    folder: WorkFolder
    log_mel: LogMelSpec | None = None


def decode_units(
    name: str,
    kind: str,
    selection: str,
    timeline: media.Timeline | None,
    options: DecodeOptions,
    units: Sequence[DecodeJob],
) -> Iterator[dict[str, Any]]:
    """Decode units of one source into their block files, in one pass over the video.

    Args:
      name: the source's path or URL.
      kind: the source's kind.
      selection: see `Source.selection`.
      timeline: a video or audio file's timeline.
      options: options common to all units.
      units: units sorted by start.

    Yields:
      For each unit, its block's index: "peak", the magnitude of the loudest sample; "damage", by
      kind, the times in milliseconds of packets or frames that were skipped; "left_out", the
      indices of clips that were left out because their frame size changes; "labels", the class ids
      in its records; and the entries of `blocks.write_block`.

    Raises:
      MediaError: a unit, or more than 10 % of its packets, cannot be decoded. Earlier units have
        been yielded.
    """
    settings, path = options.settings, local_of(name)
    if kind == IMAGE:
        for unit in units:
            frame, height, width = encode_image(path, settings.short_side, settings.jpeg_quality)
            image = ClipFrames([frame], height, width)
            yield _write(unit, options, _UnitFrames([image] * len(unit.clips)), path)
    elif kind == TFDS:
        for unit in units:
            shown = _UnitFrames(_tfds_frames(path, selection, unit, settings))
            yield _write(unit, options, shown, path)
    elif kind == SOUND:
        for unit in units:
            shown = _UnitFrames([ClipFrames()] * len(unit.clips))
            yield _write(unit, options, shown, path, timeline)
    else:
        for unit, shown in _film_frames(path, timeline, units, settings):
            yield _write(unit, options, shown, path, timeline)


@dataclasses.dataclass(frozen=True)
class _UnitFrames:
    """One unit's frames.

    Attributes:
      clips: frames of each clip; None for a clip in which the frame size changes.
      damaged, disordered: times in seconds of packets and frames that were skipped.
    """

    clips: Sequence[ClipFrames | None]
    damaged: Sequence[float] = ()
    disordered: Sequence[float] = ()


def _film_frames(
    path: str, timeline: media.Timeline | None, units: Sequence[DecodeJob], settings: Settings
) -> Iterator[tuple[DecodeJob, _UnitFrames]]:
    """Yield each unit with its frames, in one pass over the film."""
    is_video = settings.store == VIDEO_STORE
    collector: type[Collector[Any]] = VideoCollector if is_video else JpegCollector
    waiting = collections.deque((unit, collector(unit.clips, settings)) for unit in units)
    times = sorted({time for _, frames in waiting for time in frames.times})
    current: collections.deque[tuple[DecodeJob, Collector[Any]]] = collections.deque()
    tally = media.Tally()
    shown: Iterator[tuple[float, Any]] = (
        media.iter_pixels_at(path, times, settings.short_side, timeline=timeline, tally=tally)
        if is_video
        else media.iter_frames_at(
            path, times, settings.short_side, settings.jpeg_quality, timeline, tally
        )
    )
    for time, frame in shown:
        while waiting and waiting[0][1].times[0] <= time:
            current.append(waiting.popleft())
        for _, frames in current:
            frames.take(time, frame)
        while current and current[0][1].times[-1] <= time:
            unit, done = current.popleft()
            start, end = done.times[0], done.times[-1]
            damaged = _damage(tally, start, end, "video", path)
            disordered = [t for t in tally.disordered if start <= t <= end]
            one_size = next(iter(tally.sizes)) if len(tally.sizes) == 1 else None
            yield unit, _UnitFrames(done.clip_frames(one_size), damaged, disordered)


def _damage(tally: media.Tally, start: float, end: float, what: str, path: str) -> list[float]:
    """Return the times of the packets in a span that could not be decoded.

    Raises:
      MediaError: they are more than 10 % of the packets.
    """
    damaged = [time for time in tally.damaged if start <= time <= end]
    if not damaged:
        return []
    decoded = sum(start <= time <= end for time in tally.decoded)
    if len(damaged) > MOST_DAMAGED_SHARE * (len(damaged) + decoded):
        raise media.MediaError(
            f"{path}: {len(damaged)} of {len(damaged) + decoded} packets of {what} between "
            f"{start:.1f} and {end:.1f} s can't be decoded; get a complete copy."
        )
    return damaged


def _write(
    unit: DecodeJob,
    options: DecodeOptions,
    shown: _UnitFrames,
    path: str,
    timeline: media.Timeline | None = None,
) -> dict[str, Any]:
    """Write a unit's block file and return its index."""
    settings = options.settings
    waveform: np.ndarray | None = None
    low = min(clip.span.start_ms for clip in unit.clips)
    unheard: list[float] = []
    if unit.has_audio and settings.sound != "none":
        start, end = low / 1000, max(clip.span.end_ms for clip in unit.clips) / 1000
        tally = media.Tally()
        waveform = media.read_waveform(path, start, end, settings.sample_rate, timeline, tally)
        unheard = _damage(tally, start, end, "audio", path)
    peak = float(np.abs(waveform).max(initial=0.0)) if waveform is not None else 0.0
    log_mel = _log_mel(options.log_mel) if settings.sound == "log_mel" and options.log_mel else None

    def records() -> Iterator[bytes]:
        for clip, frames in zip(unit.clips, shown.clips, strict=True):
            if frames is None:
                continue
            audio = None
            if waveform is not None:
                first = round((clip.span.start_ms - low) * settings.sample_rate / 1000)
                count = round((clip.span.end_ms - clip.span.start_ms) * settings.sample_rate / 1000)
                audio = waveform[first : first + count]
                # Rounding both ends can give one sample more than the span has.
                audio = np.pad(audio, (0, count - len(audio)))
            spectrogram, rate = None, 0.0
            if audio is not None and log_mel is not None:
                spectrogram = np.asarray(log_mel(audio[np.newaxis]))[0, :, :, 0]
                rate, audio = log_mel.sample_rate / log_mel.step, None
            encoded = None
            if settings.store == VIDEO_STORE:
                encoded, audio = _encoded(frames, audio, settings.sample_rate), None
            decoded = shard_writer.ClipMedia(
                frames.frames, frames.height, frames.width, audio, spectrogram, rate, encoded
            )
            example = shard_writer.sequence_example(
                clip.span,
                decoded,
                clip.near,
                options.labels,
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
        "left_out": [index for index, one in enumerate(shown.clips) if one is None],
        "labels": {name: options.labels[name] for clip in unit.clips for name in clip.span.labels},
    }
    return write_block(options.folder, unit.target, records(), summary)


def _encoded(
    frames: ClipFrames, audio: np.ndarray | None, sample_rate: int
) -> shard_writer.EncodedMedia | None:
    """Return a clip as one file, or None for a stored spectrogram without frames."""
    data = frames.video if audio is None else with_sound(frames.video, audio, sample_rate)
    return shard_writer.EncodedMedia(data, frames.count, audio is not None) if data else None


@functools.cache
def _log_mel(spec: LogMelSpec) -> Any:
    """Return the layer, which is created once per process."""
    layer, arguments = spec
    return layer(**dict(arguments))


def _tfds_frames(
    data_dir: str, selection: str, unit: DecodeJob, settings: Settings
) -> list[ClipFrames]:
    """Return the images in a slice of a TensorFlow Datasets data set, in its order."""
    from mmv_tf.data.datasets import tfds_images

    images = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Raised by dependencies of TensorFlow Datasets.
        for image in tfds_images.read_images(data_dir, selection):
            frame, height, width = encode_image(
                image, settings.short_side, settings.jpeg_quality, name=selection
            )
            images.append(ClipFrames([frame], height, width))
    if len(images) != len(unit.clips):
        raise media.MediaError(
            f"{selection}: got {len(images)} images; expected {len(unit.clips)}; prepare the "
            "data set with TensorFlow Datasets again."
        )
    return images
