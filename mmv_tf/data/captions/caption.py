# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Captions, cues as stored in files, labels, and counts of captions left out."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Cue:
    """A cue as stored in a caption file.

    Attributes:
      where: line or event, for messages.
      start, end: start and end in seconds; the end is None if the file gives none.
      lines: lines of text, with markup.
      label: class name, or "" for none.
    """

    where: str
    start: float
    end: float | None
    lines: tuple[str, ...]
    label: str = ""


# Ours: real captions are far shorter.
MAX_CHARACTERS = 10_000


@dataclasses.dataclass(frozen=True)
class Caption:
    """Text for the span from `start` to `end`, in seconds from the start of the video."""

    start: float
    end: float
    text: str
    label: str | None = None

    def __str__(self) -> str:
        return f"{self.start:.3f}-{self.end:.3f} s {self.text!r}"


def attach_labels(
    captions: Sequence[Caption], labelled: Iterable[Caption], tolerance: float = 0.05
) -> list[Caption]:
    """Give each caption the label of the caption with equal text and times in a labeled list.

    Args:
      captions: the captions to label.
      labelled: captions with labels; extra ones are ignored.
      tolerance: seconds by which starts and ends may differ, because formats round times.

    Returns:
      `captions` in the same order, each with a label.

    Raises:
      ValueError: a caption has no labeled counterpart.
    """
    by_text = collections.defaultdict(list)
    for candidate in labelled:
        if candidate.label is not None:
            by_text[candidate.text].append(candidate)
    result = []
    for caption in captions:
        for candidate in by_text[caption.text]:
            if (
                abs(candidate.start - caption.start) <= tolerance
                and abs(candidate.end - caption.end) <= tolerance
            ):
                result.append(dataclasses.replace(caption, label=candidate.label))
                break
        else:
            raise ValueError(
                f"The caption {caption} has no label; expected a row with the same text and times "
                f"(within {tolerance} s) in the label list; add it, or omit the labels."
            )
    return result


def captions_of(texts: Iterable[str], start_ms: int, end_ms: int) -> tuple[Caption, ...]:
    """Return texts about a whole span (in milliseconds) as captions, with single spaces."""
    cleaned = (" ".join(text.split()) for text in texts)
    return tuple(Caption(start_ms / 1000, end_ms / 1000, text) for text in cleaned if text)


# Reasons for leaving captions out. UNREADABLE: the times or the text can't be parsed.
UNREADABLE = "captions_that_cannot_be_read"
NO_TEXT = "captions_without_text"
OUTSIDE = "lines_outside_captions"


@dataclasses.dataclass
class LeftOut:
    """Counts of captions left out, by reason.

    Attributes:
      counts: number of captions left out, by reason in snake case ("captions_without_length").
      first: message about the first caption left out for each reason, with its line.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    first: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, reason: str, message: str, count: int = 1) -> None:
        """Add to a reason's count, and keep the first message for each reason."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.first.setdefault(reason, message)

    @property
    def total(self) -> int:
        """Total over all reasons."""
        return sum(self.counts.values())


def oddity(start: float, end: float | None, text: str) -> tuple[str, str] | None:
    """Return the reason to leave a caption out, or None if it can be used.

    Args:
      start, end: times in seconds; the end is None if unknown.
      text: text without markup.

    Returns:
      The reason in snake case, and the words that follow "the caption" in a message.
    """
    if not text:
        return NO_TEXT, " has no text; expected words"
    if end is None:
        return "captions_without_length", " has no length; expected a duration"
    if not (math.isfinite(start) and math.isfinite(end)):
        return (
            "captions_at_no_time",
            f"'s time is {start:g} to {end:g} s; expected seconds from the video's start",
        )
    if start < 0:
        return (
            "captions_before_the_start",
            f"'s time is {start:g} to {end:g} s; expected 0 or more seconds from the video's start",
        )
    if end <= start:
        reason = "captions_without_length" if end == start else "captions_of_negative_length"
        return (
            reason,
            f" ends at {end:g} s but starts at {start:g} s; expected an end after the start",
        )
    if len(text) > MAX_CHARACTERS:
        return (
            "captions_too_long",
            f" has {len(text)} characters; expected at most {MAX_CHARACTERS}",
        )
    return None
