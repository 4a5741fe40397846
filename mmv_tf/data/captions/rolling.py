# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Unrolls automatic captions: each phrase appears once, from its first appearance.

Captions roll if each new phrase appears below the previous one or two phrases. A cue then repeats
the previous cue's lines and adds a phrase; between two such cues, a 10 ms cue may repeat the last
phrase.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from mmv_tf.data.captions import cues as cues_lib

# Ours. A cue this short only repeats; YouTube's last 0.01 s.
_BRIEF_SECONDS = 0.05
# Ours. A line that reappears after a longer pause is spoken again.
_PAUSE_SECONDS = 0.1
# Ours. In rolling captions, at least this fraction of cues repeats the previous cue.
_ROLLING_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Shown:
    """Text shown by a cue.

    Attributes:
      start, end: times in seconds.
      lines: nonblank lines without markup.
      label: class name, or "" for none.
      marked: the lines with markup.
    """

    start: float
    end: float
    lines: tuple[str, ...]
    label: str = ""
    marked: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All lines joined into one."""
        return " ".join(self.lines)


@dataclasses.dataclass(frozen=True)
class _Step:
    """A cue's relation to the previous cue."""

    carries: bool  # Whether it begins with the last lines of the previous cue.
    new: tuple[str, ...]
    phrases: tuple[str, ...]  # Lines on screen.


def unrolled(cues: Sequence[Shown]) -> list[Shown]:
    """Return the phrases of rolling captions; return other captions unchanged.

    Captions roll if at least half of the cues after the first, and at least two (one if words have
    their own times), are evidence of it; all limits are ours. Evidence is a cue that begins with
    the last lines of the previous cue and adds words, or a cue of at most 0.05 s that repeats them.
    If a converter joined the lines, the repeated lines need two different words. So a repeated
    "yes", a refrain or two-line captions don't count.

    A phrase starts with the first cue that shows it and ends with the last cue that shows it as the
    newest phrase. Lines that grow or are highlighted word by word form one phrase, see `_grown`.

    Args:
      cues: cues sorted by start.
    """
    cues = _grown(cues)
    steps = _steps(cues)
    evidence = sum(
        step.carries and (bool(step.new) or cue.end - cue.start <= _BRIEF_SECONDS)
        for cue, step in zip(cues[1:], steps[1:], strict=True)
    )
    has_word_times = any(cues_lib.has_word_times(line) for cue in cues for line in cue.marked)
    least = 1 if has_word_times else 2
    if evidence < max(least, _ROLLING_SHARE * (len(cues) - 1)):
        return list(cues)
    phrases: list[Shown] = []
    for cue, step in zip(cues, steps, strict=True):
        pause = cue.start - phrases[-1].end if phrases else 0.0
        if step.new:
            phrases.append(dataclasses.replace(cue, lines=step.new))
        elif pause > _PAUSE_SECONDS:
            phrases.append(cue)
        else:
            end = max(phrases[-1].end, cue.end)
            phrases[-1] = dataclasses.replace(phrases[-1], end=end)
    return phrases


def _grown(cues: Sequence[Shown]) -> list[Shown]:
    """Merge captions whose last line grows or is highlighted word by word.

    Applies if at least half of the cues after the first, and at least two, repeat the previous cue
    (of two or more different words) with words added to its last line or with other markup
    (Whisper underlines the spoken word).
    """
    grown = [
        before.end - before.start > _BRIEF_SECONDS
        and after.start - before.end <= _PAUSE_SECONDS
        and after.lines[:-1] == before.lines[:-1]
        and after.lines[-1].startswith(before.lines[-1])
        and (after.lines, after.marked) != (before.lines, before.marked)
        for before, after in itertools.pairwise(cues)
    ]
    evidence = sum(
        grows and len(set(before.text.lower().split())) > 1
        for grows, before in zip(grown, cues, strict=False)
    )
    if evidence < max(2, _ROLLING_SHARE * (len(cues) - 1)):
        return list(cues)
    result: list[Shown] = list(cues[:1])
    for grows, cue in zip(grown, cues[1:], strict=True):
        if grows:
            cue = dataclasses.replace(cue, start=result[-1].start)
            result.pop()
        result.append(cue)
    return result


def _steps(cues: Sequence[Shown]) -> list[_Step]:
    """Compare each cue with the lines on screen before it."""
    steps: list[_Step] = []
    shown: tuple[str, ...] = ()
    for cue in cues:
        step = next(
            (
                found
                for first in range(len(shown))
                if (found := _carry(shown[first:], cue.lines)) is not None
            ),
            _Step(False, cue.lines, cue.lines),
        )
        steps.append(step)
        shown = step.phrases
    return steps


def _carry(phrases: tuple[str, ...], lines: tuple[str, ...]) -> _Step | None:
    """Return the step if a cue begins with these phrases, on separate lines or joined."""
    count = len(phrases)
    if lines[:count] == phrases:
        return _Step(True, lines[count:], lines)
    joined = " ".join(phrases)
    if len(lines) > 1 or not f"{lines[0]} ".startswith(f"{joined} "):
        return None
    # Some converters join a cue's lines. "No", "no no" may be real speech.
    new = (lines[0][len(joined) + 1 :],) if lines[0] != joined else ()
    return _Step(len(set(joined.lower().split())) > 1, new, (*phrases, *new))
