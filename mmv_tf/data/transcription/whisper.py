# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Transcription with Whisper in CTranslate2 format, by the package faster-whisper."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmv_tf.data.captions import Caption
from mmv_tf.util.files import file_sha256

# Ours: the smallest model that is useful in many languages.
DEFAULT_MODEL = "small"
_WEIGHTS = "model.bin"
_SHOWN = 10  # languages in a message


class FasterWhisper:
    """Whisper, run by the package faster-whisper; parts without speech are skipped.

    Args:
      model: folder of a model in CTranslate2 format; or a name such as "small" or "large-v3", which
        the package downloads.
      device: "auto", "cpu" or "cuda".

    Raises:
      ValueError: the package is missing, or the model can't be loaded.
    """

    def __init__(self, model: str = DEFAULT_MODEL, device: str = "auto"):
        try:
            import faster_whisper
        except ImportError as error:
            raise ValueError(
                f'Transcription needs {error.name}: pip install "mmv_tf[speech]".'
            ) from error
        folder = pathlib.Path(model)
        if folder.is_dir() and not (folder / _WEIGHTS).is_file():
            raise ValueError(
                f"{model}: contains no {_WEIGHTS}; give a Whisper model in CTranslate2 format, or "
                f"a name: {', '.join(faster_whisper.available_models())}."
            )
        if not folder.is_dir() and model not in faster_whisper.available_models():
            raise ValueError(
                f"{model}: is neither a folder nor a Whisper model; expected a folder or one of "
                f"{', '.join(faster_whisper.available_models())}."
            )
        try:
            self._model: Any = faster_whisper.WhisperModel(model, device=device)
        # The packages below raise many types of errors: network, file, device.
        except Exception as error:
            raise ValueError(
                f"The Whisper model {model!r} can't be loaded ({error}); the first use of a name "
                "needs network access; if there is none, give a folder."
            ) from error
        # The weights behind a name could change online, but rarely; those in a folder more easily.
        identity = file_sha256(folder / _WEIGHTS)[:16] if folder.is_dir() else model
        self.key = f"faster-whisper {identity}"

    def check_language(self, language: str) -> None:
        """Raise a ValueError if the model does not support a language code."""
        known = sorted(self._model.supported_languages)
        if language not in known:
            some = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
            raise ValueError(
                f"The Whisper model does not support the language {language!r}; expected a code "
                f"such as {some}."
            )

    def transcribe(
        self, samples: np.ndarray, language: str | None
    ) -> tuple[str, Iterator[Caption]]:
        """Return the language and the captions of audio; see `Transcriber`.

        Raises:
          ValueError: the model does not support the language.
        """
        # Everything else is the package's default, including the threshold for no speech.
        segments, info = self._model.transcribe(samples, language=language, vad_filter=True)
        captions = (Caption(float(s.start), float(s.end), s.text) for s in segments)
        return str(info.language), captions
