# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Transcripts as captions for sources that have none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.preparation.sources import SOUND, VIDEO, Source
from mmv_tf.data.transcription import Transcripts
from mmv_tf.util.progress import progress


def transcribed(
    sources: Sequence[Source], transcripts: Transcripts
) -> tuple[list[Source], list[str]]:
    """Give video and audio sources without captions the captions from their transcripts.

    Args:
      sources: the sources. One with captions, narrations, or texts of its clips stays unchanged.
      transcripts: the transcripts.

    Returns:
      The sources in the same order, and notes for the user about audio that is damaged, missing or
      cannot be decoded.
    """
    result, notes = [], []
    for source in progress(sources, "transcribe", "files"):
        if _wants_transcript(source):
            try:
                transcript = transcripts.of(source.path)
            except (MediaError, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                notes.append(f"{source.media_id} can't be transcribed: {reason}")
            else:
                source = dataclasses.replace(source, narrations=transcript.captions)
                if transcript.damaged:
                    notes.append(
                        f"{transcript.damaged} audio packets in {source.media_id} are damaged; "
                        "words may be missing from its transcript."
                    )
        result.append(source)
    return result, notes


def _wants_transcript(source: Source) -> bool:
    told = any(clip.texts for clip in source.clips or ())
    captioned = source.captions is not None or bool(source.narrations) or told
    return source.kind in (VIDEO, SOUND) and not captioned
