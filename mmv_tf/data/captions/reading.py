# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads caption files in all formats."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

from mmv_tf.data.captions import cues as cues_lib
from mmv_tf.data.captions.caption import NO_TEXT, Caption, Cue, LeftOut, oddity
from mmv_tf.data.captions.cues import parse_cues
from mmv_tf.data.captions.json3 import parse_json3
from mmv_tf.data.captions.rolling import Shown, unrolled
from mmv_tf.data.captions.table import parse_table
from mmv_tf.util.text_files import read_text

_MAX_BYTES = 64 << 20  # Ours: an hour of speech is 60 kB.

_PARSERS: dict[str, Callable[[pathlib.Path, str, LeftOut], list[Cue]]] = {
    ".vtt": functools.partial(parse_cues, web=True),
    ".srt": functools.partial(parse_cues, web=False),
    ".json3": parse_json3,
    ".tsv": parse_table,
    ".csv": parse_table,
}
SUFFIXES = tuple(_PARSERS)
_MAY_ROLL = (".vtt", ".srt", ".json3")


@dataclasses.dataclass(frozen=True)
class CaptionFile:
    """A caption file's contents.

    Attributes:
      captions: captions sorted by start, at least one.
      left_out: counts of captions left out, by reason.
    """

    captions: tuple[Caption, ...]
    left_out: LeftOut


def read_captions(path: str | pathlib.Path) -> list[Caption]:
    """Return the captions in a file; see `read_caption_file`."""
    return list(read_caption_file(path).captions)


def read_caption_file(path: str | pathlib.Path) -> CaptionFile:
    """Read a caption file in the format of its suffix.

    Captions are left out and counted if they have no text or length, end before they start, have
    times or text that can't be parsed, start before the video, or exceed 10,000 characters; so are
    lines outside captions. A file with more than half left out (ours; captions without text don't
    count) is rejected. Rolling captions are unrolled, see `rolling.unrolled`.

    Args:
      path: a `.vtt` (WebVTT), `.srt` (SubRip) or `.json3` (YouTube) file, or a `.tsv` or `.csv`
        table with the columns start, end, caption (or text) and, optionally, label (or subject).
        Times in a table are seconds or [hours:]minutes:seconds; for Whisper's, see
        `table.parse_table`.

    Returns:
      Captions without markup and with single spaces, and counts of captions left out.

    Raises:
      ValueError: the file is missing, empty, in an unknown encoding or not of its type, more than
        half or all of its captions would be left out, or its times are ambiguous. The message names
        the file and the line.
    """
    path = pathlib.Path(path)
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise ValueError(
            f"{path}: captions of type {path.suffix or '(no suffix)'!r} can't be read; "
            f"give a file ending in one of {', '.join(_PARSERS)}."
        )
    text = read_text(path, _MAX_BYTES)
    if not text.strip():
        raise ValueError(
            f"{path}: the caption file is empty; expected timed captions; create it again."
        )
    left_out = LeftOut()
    shown = _usable(path, parse(path, text, left_out), left_out)
    odd = left_out.total - left_out.counts.get(NO_TEXT, 0)
    if odd > len(shown):
        message = next(text for name, text in left_out.first.items() if name != NO_TEXT)
        if shown:
            message = (
                f"{path}: {odd} captions or lines can't be used and only {len(shown)} can; "
                f"expected at least half to be usable; the first unusable one: {message}"
            )
        raise ValueError(message)
    if not shown:
        raise ValueError(
            f"{path}: no captions found; expected at least one with times and text; check the file."
        )
    shown.sort(key=lambda cue: (cue.start, cue.end))
    if path.suffix.lower() in _MAY_ROLL:
        shown = unrolled(shown)
    captions = (Caption(cue.start, cue.end, cue.text, cue.label or None) for cue in shown)
    return CaptionFile(tuple(captions), left_out)


def _usable(path: pathlib.Path, cues: list[Cue], left_out: LeftOut) -> list[Shown]:
    """Return the cues with text and valid times, without markup."""
    shown = []
    for cue in cues:
        lines = cues_lib.plain_lines(cue.lines)
        odd = oddity(cue.start, cue.end, " ".join(lines))
        if odd is not None:
            reason, what = odd
            left_out.add(reason, f"{path}, {cue.where}: the caption{what}; correct that line.")
        else:
            end = cue.start if cue.end is None else cue.end
            shown.append(Shown(cue.start, end, lines, cue.label, cue.lines))
    return shown
