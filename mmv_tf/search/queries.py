# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Queries (a sentence, audio, an image or a clip) and their vectors."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from mmv_tf.data.captions import table_seconds
from mmv_tf.data.media import MediaError, probe
from mmv_tf.inference.reading import picture, span_clips, span_sounds
from mmv_tf.inference.windows import Windows
from mmv_tf.search.embedder import SOUND, VISION, Embedder
from mmv_tf.search.frames import FRAMES
from mmv_tf.search.words import Unit, units
from mmv_tf.util.storage.media import at_hand

# Speech; video and speech.
SPEECH, ALL = "speech", "all"
_WITHIN = (VISION, SOUND, SPEECH, ALL)
TEXT, AUDIO, IMAGE, VIDEO = KINDS = ("text", "audio", "image", "video")
# Ours: maximum number of windows in a long query, whose embeddings are averaged.
_MOST_WINDOWS = 16
_MAX_TEXT = 1000


@dataclasses.dataclass(frozen=True)
class Asked:
    """A query as a vector.

    Attributes:
      matrix: the index's matrix that it is compared with, or `FRAMES`.
      vector: float32 [D], a unit vector.
      weight: see `Query`.
      kind: the query's kind, one of `KINDS`; None for a label.
    """

    matrix: str
    vector: np.ndarray
    weight: float
    kind: str | None = None


@dataclasses.dataclass(frozen=True)
class Query:
    """One query in a search.

    Attributes:
      kind: one of `KINDS`.
      value: the sentence; or the file, "FILE@start-end" for a part of audio or video; or the bytes
        of a file.
      weight: weight in the score; a negative weight avoids the query.
      within: `VISION` or `SOUND`, the modality of the windows to compare with; `SPEECH` for speech,
        or `ALL` for `VISION` and `SPEECH`. None means `ALL` for sentences if the index has speech,
        and otherwise `VISION`.
      name: name for bytes in messages.
    """

    kind: str
    value: str | bytes
    weight: float = 1.0
    within: str | None = None
    name: str = "the file"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Expected a query of kind {' or '.join(KINDS)}; got {self.kind!r}.")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(f"A query's weight is {self.weight}; expected a number other than 0.")
        if self.within is not None and self.within not in _WITHIN:
            raise ValueError(
                f"A query's within is {self.within!r}; expected one of {', '.join(_WITHIN)}."
            )
        if self.within == SPEECH and self.kind != TEXT:
            raise ValueError(
                f"Speech can be searched only with a sentence; got a query of kind {self.kind!r}."
            )
        if self.kind == TEXT and (not str(self.value).strip() or len(self.value) > _MAX_TEXT):
            raise ValueError(
                f"Got a sentence of {len(self.value)} characters; expected 1 to {_MAX_TEXT} "
                "characters, not all of them spaces."
            )

    @property
    def modality(self) -> str:
        """The modality of the windows to compare with, `VISION` or `SOUND`."""
        return SOUND if self.within == SOUND else VISION

    @property
    def units(self) -> list[Unit]:
        """Words to look for in speech, see `words.units`; none for a query to avoid."""
        spoken = self.kind == TEXT and self.within in (None, SPEECH, ALL) and self.weight > 0
        return units(str(self.value)) if spoken else []


def embed_query(
    query: Query,
    embedder: Embedder,
    read: Callable[[Query, Windows], np.ndarray] | None = None,
    frames: bool = False,
) -> Asked:
    """Embed a query.

    Args:
      query: the query.
      embedder: the model.
      read: function that decodes a query other than a sentence; by default, `read_query`.
      frames: whether the index has frames; images are then compared with frames instead of windows,
        because a window's vector hardly shows which frames it has.

    Returns:
      The query as a vector.

    Raises:
      ValueError: the model can't compare the modalities, or the file can't be decoded.
    """
    modality = {TEXT: "text", AUDIO: SOUND}.get(query.kind, VISION)
    space = embedder.space(modality, query.modality)
    matrix = f"{query.modality}.{space}"
    if query.kind == TEXT:
        return Asked(matrix, embedder.sentence(str(query.value))[space], query.weight, TEXT)
    pixels = (read or read_query)(query, embedder.windows)
    if frames and query.kind == IMAGE and query.modality == VISION:
        return Asked(FRAMES, embedder.frame_encoder(pixels)[0], query.weight, IMAGE)
    embed = {IMAGE: embedder.pictures, VIDEO: embedder.clips, AUDIO: embedder.sounds}[query.kind]
    mean = embed(pixels)[space].mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0:
        raise ValueError(
            "The windows of the query cancel each other out; use only a part of the query."
        )
    return Asked(matrix, (mean / length).astype(np.float32), query.weight, query.kind)


def read_query(query: Query, windows: Windows) -> np.ndarray:
    """Return the windows in a query that is not a sentence, as pixels or samples.

    Raises:
      MediaError: the file can't be decoded.
    """
    with _file(query) as (path, start, end):
        try:
            if query.kind == IMAGE:
                return picture(path, windows, path)[np.newaxis]
            read = span_clips if query.kind == VIDEO else span_sounds
            return read(path, windows, start, end, _MOST_WINDOWS)[0]
        except MediaError as error:
            if isinstance(query.value, str):
                raise
            raise MediaError(str(error).replace(path, query.name)) from None


def parse_span(value: str) -> tuple[str, float, float | None]:
    """Parse "FILE", "FILE@start-end" or "FILE@start-" into file, start and end in seconds.

    Raises:
      ValueError: the times are invalid.
    """
    if "@" not in value or pathlib.Path(value).exists():
        return value, 0.0, None
    path, _, span = value.rpartition("@")
    return path, *parse_times(value, span)


def parse_times(value: str, span: str) -> tuple[float, float | None]:
    """Parse "start-end" or "start-" into seconds.

    Args:
      value: the whole text, for messages.
      span: the times.

    Raises:
      ValueError: the times are invalid.
    """
    start, dash, end = span.partition("-")
    try:
        times = table_seconds(start or "0"), table_seconds(end) if end else None
        right = bool(dash) and times[0] >= 0 and (times[1] is None or times[1] > times[0])
    except ValueError:
        right = False
    if not right:
        raise ValueError(
            f"{value}: expected FILE@start-end, in seconds or as 1:02:03, with the end after the "
            f"start; got {span!r}."
        )
    return times


def kind_of_bytes(data: bytes, name: str) -> str:
    """Return the kind of a file's bytes, image, video or audio: one of `KINDS`.

    Raises:
      MediaError: the bytes are none of these.
    """
    with _file(Query(VIDEO, data)) as (path, _, _):
        for kind, probed in ((IMAGE, "image"), (VIDEO, "video"), (AUDIO, "sound")):
            try:
                probe(path, probed)
            except MediaError:
                continue
            return kind
    raise MediaError(f"{name} is not a readable image, audio or video file; give another file.")


@contextlib.contextmanager
def _file(query: Query) -> Iterator[tuple[str, float, float | None]]:
    """Yield the local path to the query's media, and the span; bytes get a path in memory."""
    if isinstance(query.value, str):
        span = (query.value, 0.0, None) if query.kind == IMAGE else parse_span(query.value)
        with at_hand(span[0]) as local:
            yield str(local), *span[1:]
        return
    descriptor = os.memfd_create("query", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(query.value)
        yield f"/proc/self/fd/{descriptor}", 0.0, None
    finally:
        os.close(descriptor)
