# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tells captions that are not used."""

from __future__ import annotations

import math

from mmv_tf.data.captions.caption import MAX_CHARACTERS
from mmv_tf.data.captions.left_out import NO_TEXT


def oddity(start: float, end: float | None, text: str) -> tuple[str, str] | None:
    """Why a caption is left out; None for one that is used.

    Args:
      start, end: seconds; the end is None where it is not known.
      text: plain.

    Returns:
      The reason in snake case, and what goes after "the caption" in a message.
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
            f" ends at {end:g} s and starts at {start:g} s; expected an end after the start",
        )
    if len(text) > MAX_CHARACTERS:
        return (
            "captions_too_long",
            f" has {len(text)} characters; expected {MAX_CHARACTERS} at most",
        )
    return None
