# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clock times in caption files, and how to read the digits after their decimal point."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Callable, Sequence

# Hours are optional; SubRip has a comma before the milliseconds.
CLOCK = r"(?:\d{1,9}:)?[0-5]?\d:[0-5]?\d(?:[.,]\d{1,9})?"
_CLOCK = re.compile(r"(?:(\d{1,9}):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,9}))?")
# Ours. Of files with leading zeros, 1.5 % have none in 40 three-digit fractions.
_MANY_FRACTIONS = 40


@dataclasses.dataclass(frozen=True)
class Clock:
    """A time such as "1:02:03.5".

    Attributes:
      minutes: hours and minutes, in seconds.
      seconds: whole seconds beyond them.
      fraction: digits after the point or comma.
    """

    minutes: int
    seconds: int
    fraction: str = ""

    def decimal(self) -> float:
        """Return seconds, with the fraction read as decimals: .5 is half a second."""
        return self.minutes + float(f"{self.seconds}.{self.fraction}")

    def unpadded(self) -> float:
        """Return seconds, with the fraction read as milliseconds: .5 is 0.005 s."""
        return self.minutes + self.seconds + int(self.fraction or 0) / 1000


def parse_clock(text: str) -> Clock:
    """Parse "1:02:03.5" or "02:03,5"; raise ValueError for anything else."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    hours, minutes, seconds, fraction = match.groups()
    return Clock(int(hours or 0) * 3600 + int(minutes) * 60, int(seconds), fraction or "")


def reading_of(
    path: pathlib.Path, cues: Sequence[tuple[int, Clock, Clock]]
) -> Callable[[Clock], float]:
    """Decide whether to read a file's fractions as decimals or as unpadded milliseconds.

    Fractions are decimals unless some nonzero fractions have one or two digits and others three.
    Then, in this order:

    1. If a fraction such as "05" has a leading zero: decimals.
    2. If one reading puts the cues in better order (ends after starts, starts ascending; then no
       overlaps): that reading.
    3. If there are 40 three-digit fractions (ours) and none begins with a zero: milliseconds.

    Args:
      path: the file, for messages.
      cues: line number, start and end of each cue, in file order.

    Returns:
      The function from a clock time to seconds.

    Raises:
      ValueError: none of the rules applies.
    """
    fractions = [(line, time.fraction) for line, *times in cues for time in times if time.fraction]
    lengths = {len(fraction) for _, fraction in fractions if int(fraction)}
    if max(lengths, default=0) != 3 or lengths == {3}:
        return Clock.decimal
    if any(len(fraction) > 1 and fraction[0] == "0" for _, fraction in fractions):
        return Clock.decimal
    decimal, unpadded = (_disorder(cues, read) for read in (Clock.decimal, Clock.unpadded))
    if decimal != unpadded:
        return Clock.decimal if decimal < unpadded else Clock.unpadded
    if sum(len(fraction) == 3 for _, fraction in fractions) >= _MANY_FRACTIONS:
        return Clock.unpadded
    line, short = next(
        (line, digits) for line, digits in fractions if len(digits) < 3 and int(digits)
    )
    raise ValueError(
        f"{path}, line {line}: got a time whose fraction '{short}' may mean 0.{short} s or "
        f"{int(short) / 1000:g} s, because other times have three digits; write all times with "
        "three digits after the point or comma."
    )


def _disorder(
    cues: Sequence[tuple[int, Clock, Clock]], read: Callable[[Clock], float]
) -> tuple[int, int]:
    """Count cues that end before they start or start before the previous one, and overlaps."""
    times = [(read(start), read(end)) for _, start, end in cues]
    pairs = list(itertools.pairwise(times))
    wrong = sum(end <= start for start, end in times) + sum(b[0] < a[0] for a, b in pairs)
    return wrong, sum(b[0] < a[1] for a, b in pairs)
