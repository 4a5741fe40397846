# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads clips as windows, and computes their features or scores once, keeping them on disk."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from mmv_tf.classification.labels import Clip
from mmv_tf.data.file_types import MediaError
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.feature_store import media_version
from mmv_tf.evaluation.features import Cache, Failures, embedded
from mmv_tf.evaluation.listing import Item
from mmv_tf.inference.encoder import Encoder
from mmv_tf.inference.network import AUDIO, IMAGE, VIDEO
from mmv_tf.inference.windows import Windows
from mmv_tf.util.progress import Progress
from mmv_tf.util.read_ahead import read_ahead
from mmv_tf.util.text_files import printable_name

_START = "start"


@dataclasses.dataclass(frozen=True)
class ClipWindows:
    """A clip's windows.

    Attributes:
      values: float32 [windows, d], features or scores of the windows.
      starts: float64 [windows], seconds from the start of the file.
    """

    values: np.ndarray
    starts: np.ndarray


class ClipReader:
    """Reads clips as evenly spaced windows, as `Encoder.embed_video` and similar methods do.

    Args:
      encoder: the model.
      modality: "video", "audio" or "image".
      windows: maximum number of windows per clip; an image has one.

    Attributes:
      modality: as given.
      cut: window settings.
      most: the argument `windows`.

    Raises:
      ValueError: the model lacks a required setting.
    """

    def __init__(self, encoder: Encoder, modality: str, windows: int):
        self.modality = modality
        self.most = 1 if modality == IMAGE else windows
        if modality == IMAGE:
            static = [] if encoder.embedded_as(IMAGE) == IMAGE else ["num_frames"]
            encoder.require(["size", *static], "it can't read images")
            settings = encoder.settings
            self.cut = Windows(1, 1.0, settings.size or 0, settings.square_crop, 1, 0)
        else:
            self.cut = encoder.windows(modality=modality)

    def read(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """Return a clip's windows and their starts.

        Raises:
          MediaError: the clip can't be decoded.
        """
        import av  # slow to import

        from mmv_tf.inference import reading

        path = str(clip.path)
        try:
            if self.modality == VIDEO:
                return reading.span_clips(path, self.cut, clip.start, clip.end, self.most)
            if self.modality == AUDIO:
                return reading.span_sounds(path, self.cut, clip.start, clip.end, self.most)
            return reading.picture(path, self.cut, clip.name)[np.newaxis], np.zeros([1])
        except MediaError as error:
            # The message is written to files, which can't hold every file name.
            raise MediaError(printable_name(str(error))) from error
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{clip.title}: can't be decoded ({error}).") from error

    def read_all(
        self, clips: Sequence[Clip]
    ) -> Iterator[tuple[Clip, tuple[np.ndarray, np.ndarray] | MediaError]]:
        """Yield each clip with its windows, or the reason why it has none; decodes ahead."""

        def read(clip: Clip) -> tuple[np.ndarray, np.ndarray] | MediaError:
            try:
                return self.read(clip)
            except MediaError as error:
                return error

        yield from zip(clips, read_ahead(read, clips, os.cpu_count() or 1), strict=True)


def clip_id(clip: Clip) -> str:
    """Return a clip name that is unique on this machine."""
    return f"{printable_name(clip.path)}@{clip.span}"


def compute(
    extractor: Extractor,
    reader: ClipReader,
    clips: Sequence[Clip],
    failures: Failures,
    progress: Progress,
) -> Iterator[tuple[Clip, ClipWindows]]:
    """Yield the values of clips in the order read; unreadable clips are added to `failures`.

    Args:
      extractor: extractor for one feature.
      reader: reader for the same model and modality.
      clips: the clips.
      failures: receives clip id -> reason.
      progress: counts the clips.
    """
    (name,) = extractor.names
    starts: dict[str, np.ndarray] = {}
    by_id = {clip_id(clip): clip for clip in clips}

    def items() -> Iterator[tuple[Item, np.ndarray | MediaError]]:
        for clip, found in reader.read_all(clips):
            item = Item(clip_id(clip), clip.name)
            if isinstance(found, MediaError):
                yield item, found
            else:
                starts[item.item_id] = found[1]
                yield item, found[0]

    for item, values in embedded(extractor, items(), failures, progress):
        yield by_id[item.item_id], ClipWindows(values[name], starts.pop(item.item_id))


def compute_cached(
    extractor: Extractor,
    reader: ClipReader,
    clips: Sequence[Clip],
    failures: Failures,
    directory: pathlib.Path,
) -> list[tuple[Clip, ClipWindows]]:
    """Return the values of all readable clips, computing those missing from the folder.

    Args:
      extractor, reader, clips, failures: see `compute`.
      directory: folder with a subfolder for each model and window setting.

    Raises:
      ValueError: more clips fail than allowed.
    """
    (name,) = extractor.names
    key = {
        "protocol": "classify",
        "protocol_version": 1,
        "model_sha256": extractor.encoder.fingerprint,
    }
    store = Cache(directory, key).store(
        modality=reader.modality,
        feature=name,
        windows=dataclasses.asdict(reader.cut),
        most=reader.most,
    )
    versions = {clip_id(clip): media_version(clip.path) for clip in clips}
    todo = [clip for clip in clips if not store.has(clip_id(clip), versions[clip_id(clip)])]
    done = len(clips) - len(todo)
    try:
        with Progress(len(clips), f"embed {reader.modality}", "clips", done) as progress:
            for clip, found in compute(extractor, reader, todo, failures, progress):
                values = {name: found.values, _START: found.starts[:, np.newaxis]}
                store.add(clip_id(clip), versions[clip_id(clip)], values)
    finally:
        store.flush()  # keeps what was computed before an interruption
    failures.check()
    readable = [clip for clip in clips if clip_id(clip) not in failures.unreadable]
    ids = [clip_id(clip) for clip in readable]
    return [
        (clip, ClipWindows(values, starts[:, 0]))
        for clip, values, starts in zip(
            readable, store.load(ids, name), store.load(ids, _START), strict=True
        )
    ]
