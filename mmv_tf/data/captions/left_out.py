# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Counts of what a caption file holds and is not used."""

from __future__ import annotations

import dataclasses

# A caption's times, or its text, are no times or no text.
UNREADABLE = "captions_that_cannot_be_read"
NO_TEXT = "captions_without_text"
# Text where no caption is.
OUTSIDE = "lines_outside_captions"


@dataclasses.dataclass
class LeftOut:
    """What was left out, by reason.

    Attributes:
      counts: how many, by reason in snake case ("captions_without_length").
      first: the first of each reason, as a message that names its line.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    first: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, reason: str, message: str, count: int = 1) -> None:
        """Counts some more; of the first of a reason the message is kept."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.first.setdefault(reason, message)

    @property
    def total(self) -> int:
        """Over all reasons."""
        return sum(self.counts.values())
