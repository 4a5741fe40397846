# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Transcripts by film content, transcriber and settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from mmv_tf.data.captions import Caption, oddity
from mmv_tf.data.media import Tally, read_waveform, timeline_of
from mmv_tf.util import files
from mmv_tf.util.safe_files import NUMBER, Count, read_json
from mmv_tf.util.text_files import well_formed

SAMPLE_RATE = 16_000  # Whisper's
# Ours: longer films are transcribed in pieces, so that memory holds at most 230 MB of samples. A
# word that spans two pieces may be lost.
_PIECE_SECONDS = 3600.0
_FORMAT = 1
_FORM = {
    "format": Count,
    "key": str,
    "film": str,
    "language": str,
    "damaged": Count,
    "captions": [{"start": NUMBER, "end": NUMBER, "text": str}],
}


class Transcriber(Protocol):
    """A speech recognizer."""

    @property
    def key(self) -> str:
        """Model and settings; transcripts with other keys are not used."""
        ...

    def transcribe(
        self, samples: np.ndarray, language: str | None
    ) -> tuple[str, Iterable[Caption]]:
        """Return the language and the captions of audio.

        Args:
          samples: float32 [n] in [-1, 1], at `SAMPLE_RATE`.
          language: language code, such as "en"; None to detect it.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Transcript:
    """A film's speech, as recognized by a transcriber.

    Attributes:
      captions: captions sorted by start; empty for a film without speech.
      language: language code, "" for a film without speech.
      damaged: number of audio packets that could not be decoded.
    """

    captions: tuple[Caption, ...]
    language: str
    damaged: int


class Transcripts:
    """Transcripts of films, kept in a folder.

    Args:
      folder: folder for the transcripts, JSON files written atomically. Several indexes and data
        sets may share it.
      transcriber: transcriber for films without a transcript.
      language: language code for all films; None to detect it for each film.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        transcriber: Transcriber,
        language: str | None = None,
    ):
        self._folder = pathlib.Path(folder)
        self._transcriber = transcriber
        self._language = language

    @property
    def key(self) -> str:
        """Transcriber, model and settings."""
        return f"{self._transcriber.key}, language {self._language or 'found'}"

    def of(
        self, film: str | os.PathLike[str], heard: Callable[[float], None] = lambda seconds: None
    ) -> Transcript:
        """Return the transcript of a film with audio, creating it if there is none.

        Args:
          film: a video or audio file.
          heard: called with the number of seconds transcribed.

        Raises:
          MediaError: the audio can't be decoded, or there is none.
          OSError: the film can't be read, or the transcript can't be written.
        """
        content = files.file_sha256(film)
        path = self._path(content)
        try:
            return self._read(path, content)
        except (ValueError, FileNotFoundError):
            pass  # There is none, or it was damaged.
        transcript = self._transcribe(pathlib.Path(film), heard)
        values = {
            "format": _FORMAT,
            "key": self.key,
            "film": content,
            "language": transcript.language,
            "damaged": transcript.damaged,
            "captions": [
                {"start": c.start, "end": c.end, "text": c.text} for c in transcript.captions
            ],
        }
        files.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", path)
        return transcript

    def _path(self, content: str) -> pathlib.Path:
        key = hashlib.sha256(self.key.encode()).hexdigest()
        return self._folder / f"{content[:32]}-{key[:16]}.json"

    def _read(self, path: pathlib.Path, content: str) -> Transcript:
        values: dict[str, Any] = read_json(path, _FORM)
        if (values["format"], values["key"], values["film"]) != (_FORMAT, self.key, content):
            raise ValueError(f"{path}: does not match the film, the settings or the format.")
        captions = (
            Caption(float(c["start"]), float(c["end"]), c["text"]) for c in values["captions"]
        )
        return Transcript(_usable(captions), values["language"], values["damaged"])

    def _transcribe(self, film: pathlib.Path, heard: Callable[[float], None]) -> Transcript:
        timeline, tally = timeline_of(film), Tally()
        length = max(timeline.length, timeline.sound_end)
        captions: list[Caption] = []
        language, start = self._language, 0.0
        while start < length:
            end = min(start + _PIECE_SECONDS, length)
            samples = read_waveform(film, start, end, SAMPLE_RATE, timeline, tally)
            found, pieces = self._transcriber.transcribe(samples, language)
            for piece in pieces:
                shifted = (piece.start + start, min(piece.end + start, end))
                captions.append(Caption(*shifted, " ".join(well_formed(piece.text).split())))
                heard(shifted[1])
            # The language detected in a later piece could be incorrect, as in music.
            language = language or (found if captions else None)
            start = end
            heard(end)
        return Transcript(_usable(captions), language or "", len(tally.damaged))


def _usable(captions: Iterable[Caption]) -> tuple[Caption, ...]:
    """Return captions with text and valid times, sorted."""
    usable = (c for c in captions if oddity(c.start, c.end, c.text) is None)
    return tuple(sorted(usable, key=lambda caption: (caption.start, caption.end)))
