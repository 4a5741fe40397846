# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses YouTube's json3 captions."""

from __future__ import annotations

import itertools
import math
import pathlib
from typing import Any

from mmv_tf.data.captions.caption import UNREADABLE, Cue, LeftOut
from mmv_tf.util.safe_files import parse_json


def parse_json3(path: pathlib.Path, text: str, left_out: LeftOut) -> list[Cue]:
    """Return the events with text of {"events": [{"tStartMs", "dDurationMs", "segs"}]}.

    Automatic captions roll: a phrase stays on screen while the next is spoken, and events with
    aAppend move it up. In a file with such events, a phrase ends no later than the next one starts.

    Raises:
      ValueError: the text is not JSON, or has no list of events.
    """
    try:
        document = parse_json(text)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}; expected YouTube's json3 captions; download the file again."
        ) from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise ValueError(
            f"{path}, line 1: got JSON without an 'events' list; expected YouTube's json3 captions"
            "; download the file again."
        )
    cues = []
    for number, event in enumerate(events, start=1):
        try:
            words = _words(event)
            if words.strip():
                start = _milliseconds(event["tStartMs"])
                length = event.get("dDurationMs")
                end = None if length is None else start + _milliseconds(length)
                cues.append(Cue(f"event {number}", start, end, tuple(words.split("\n"))))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            left_out.add(
                UNREADABLE,
                f"{path}, event {number}: got {str(event)[:80]!r} ({error!r}); expected tStartMs, "
                "dDurationMs and segs; download the file again.",
            )
    if any(isinstance(event, dict) and event.get("aAppend") for event in events):
        cues = _cut_at_the_next(cues)
    return cues


def _words(event: dict[str, Any]) -> str:
    """Return an event's text; events that position windows have none."""
    segments = event.get("segs")
    return "".join(_text(segment) for segment in segments) if segments is not None else ""


def _text(segment: dict[str, Any]) -> str:
    text = segment.get("utf8", "")
    if not isinstance(text, str):
        raise TypeError(f"utf8 is {text!r}")
    return text


def _milliseconds(value: Any) -> float:
    """Convert milliseconds, a number or a string, to seconds."""
    if isinstance(value, bool):
        raise TypeError(f"{value} is not a number")
    return float(value) / 1000


def _cut_at_the_next(cues: list[Cue]) -> list[Cue]:
    """Return the cues, each ending no later than the next start."""
    starts = sorted({cue.start for cue in cues if math.isfinite(cue.start)})
    following = dict(itertools.pairwise(starts))
    return [
        Cue(cue.where, cue.start, min(cue.end, following[cue.start]), cue.lines)
        if cue.end is not None and cue.start in following
        else cue
        for cue in cues
    ]
