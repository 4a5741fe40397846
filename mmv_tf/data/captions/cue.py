# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A cue as a caption file has it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cue:
    """What is shown for a time, as the file has it.

    Attributes:
      where: its line or event, for messages.
      start, end: seconds; the end is None where the file gives none.
      lines: of text, with mark-up.
      label: its class, "" for none.
    """

    where: str
    start: float
    end: float | None
    lines: tuple[str, ...]
    label: str = ""
