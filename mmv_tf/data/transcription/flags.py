# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags for programs that transcribe."""

from __future__ import annotations

import pathlib
from typing import Any

from absl import flags

from mmv_tf.data.transcription.transcripts import Transcripts
from mmv_tf.data.transcription.whisper import DEFAULT_MODEL, FasterWhisper
from mmv_tf.util import command_line
from mmv_tf.util.storage.workspace import storage_flags

FLAGS = flags.FLAGS


class _OptionalModel(flags.ArgumentParser[str]):
    """Parser for a flag with or without a value."""

    syntactic_help = "with or without a value"

    def parse(self, argument: str) -> str | None:
        """Return the model: the default for the bare flag, None for --noFLAG."""
        return {"true": DEFAULT_MODEL, "false": None}.get(argument, argument)


class _OptionalModelFlag(flags.Flag[str]):
    """Flag that may stand alone, as --transcribe, or have a value, as --transcribe=MODEL."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.boolean = True  # absl checks this before it takes the next argument as the value


def define_transcription_flags() -> None:
    """Define --transcribe, --language and --transcripts."""
    parser = _OptionalModel()
    flags.DEFINE_flag(
        _OptionalModelFlag(
            parser,
            None,
            "transcribe",
            None,
            "Use Whisper to transcribe films that have no captions: --transcribe uses the model "
            f"{DEFAULT_MODEL}, --transcribe=MODEL another one (a name, or a folder in CTranslate2 "
            "format).",
        )
    )
    flags.DEFINE_string(
        "language", None, "Language of the speech, such as en; detected by default."
    )
    flags.DEFINE_string(
        "transcripts",
        None,
        "Folder for transcripts; default: a folder named transcripts in the output.",
    )
    storage_flags(inputs=["transcribe"], local=["transcripts"])


def transcripts_of_flags(output: str) -> Transcripts | None:
    """Return the transcripts that the flags request, or None.

    Args:
      output: the program's output folder, which holds the transcripts by default.

    Raises:
      UsageError: a flag needs --transcribe.
      ValueError: the extra is missing, or the model can't be loaded or does not support the
        language.
    """
    if FLAGS.transcribe is None:
        for name in ("language", "transcripts"):
            if FLAGS[name].value is not None:
                raise command_line.UsageError(f"--{name} needs --transcribe.")
        return None
    folder = FLAGS.transcripts or pathlib.Path(output) / "transcripts"
    whisper = FasterWhisper(FLAGS.transcribe)
    if FLAGS.language is not None:
        whisper.check_language(FLAGS.language)
    return Transcripts(folder, whisper, FLAGS.language)
