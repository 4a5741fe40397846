# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Frame rates of editing programs, and timecodes (SMPTE ST 12-1) with and without drop frames."""

from __future__ import annotations

import dataclasses
import fractions
import re

# Rates of editing programs; a list uses one of these.
_RATES = tuple(
    fractions.Fraction(*rate)
    for rate in (
        (24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (48_000, 1001), (48, 1), (50, 1),
        (60_000, 1001), (60, 1),
    )
)  # fmt: skip
_DROPPED = (30, 60)  # nominal rates whose 1000/1001 variants count with drop frames
_WRITTEN = re.compile(r"\s*(\d{1,7})(?:\s*/\s*(\d{1,7})|(\.\d{1,6}))?\s*")
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)[:;.,](\d\d)")
_TOLERANCE = 0.005  # frames per second, for rates written as decimals: 23.976 equals 23.98


@dataclasses.dataclass(frozen=True)
class Rate:
    """A frame rate.

    Attributes:
      value: frames per second.
    """

    value: fractions.Fraction

    @classmethod
    def nearest(cls, frame_rate: float) -> Rate:
        """Return the rate supported by editing programs that is closest to a film's."""
        return cls(min(_RATES, key=lambda rate: abs(float(rate) - frame_rate)))

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read a rate such as "25", "29.97" or "30000/1001".

        Raises:
          ValueError: editing programs don't support this rate.
        """
        match = _WRITTEN.fullmatch(text)
        if match is not None and match[2] != "0":
            whole = match[1] + (match[3] or "")
            value = float(fractions.Fraction(whole) / int(match[2] or 1))
            rate = cls.nearest(value)
            if abs(float(rate.value) - value) <= _TOLERANCE:
                return rate
        known = ", ".join(f"{float(rate):.5g}" for rate in _RATES)
        raise ValueError(f"The frame rate is {text[:40]!r}; expected one of {known}.")

    @property
    def nominal(self) -> int:
        """The number of frames that a second of a timecode counts."""
        return round(self.value)

    @property
    def drops(self) -> bool:
        """True if timecodes drop numbers to keep up with the clock."""
        return self.value.denominator != 1 and self.nominal in _DROPPED

    def frames(self, seconds: float | fractions.Fraction) -> int:
        """Return the frame that is closest to a time."""
        return round(fractions.Fraction(seconds) * self.value)

    def seconds(self, frames: int) -> fractions.Fraction:
        """Return a frame's time."""
        return frames / self.value

    def timecode(self, frame: int) -> str:
        """Return a frame's timecode, such as "01:02:03:04", or "01:02:03;04" if it drops.

        The numbers 0 and 1 (0 to 3 at 59.94) are dropped in each minute except every tenth.
        """
        if self.drops:
            dropped = self.nominal // 15
            minute = 60 * self.nominal - dropped
            tens, rest = divmod(frame, 10 * minute + dropped)
            frame += 9 * dropped * tens
            if rest >= dropped:
                frame += dropped * ((rest - dropped) // minute)
        seconds, frames = divmod(frame, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        colon = ";" if self.drops else ":"
        return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}{colon}{frames:02d}"

    def frame(self, timecode: str) -> int:
        """Return a timecode's frame.

        Raises:
          ValueError: it is not a timecode at this rate.
        """
        match = _TIMECODE.fullmatch(timecode)
        if match is None:
            raise ValueError(f"{timecode[:40]!r} is not a timecode; expected 01:02:03:04.")
        hours, minutes, seconds, frames = (int(part) for part in match.groups())
        if minutes > 59 or seconds > 59 or frames >= self.nominal:
            raise ValueError(f"{timecode!r} is not a timecode at {float(self.value):.5g} Hz.")
        whole = 60 * hours + minutes
        found = (60 * whole + seconds) * self.nominal + frames
        if self.drops:
            found -= self.nominal // 15 * (whole - whole // 10)
        return found
