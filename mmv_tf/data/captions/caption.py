# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A caption, and labels for captions."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

# Ours: what one caption says is far below 10,000 characters.
MAX_CHARACTERS = 10_000


@dataclasses.dataclass(frozen=True)
class Caption:
    """What is said, or seen, from `start` to `end` (seconds from the start of the video)."""

    start: float
    end: float
    text: str
    label: str | None = None

    def __str__(self) -> str:
        return f"{self.start:.3f}-{self.end:.3f} s {self.text!r}"


def attach_labels(
    captions: Sequence[Caption], labelled: Iterable[Caption], tolerance: float = 0.05
) -> list[Caption]:
    """Gives each caption the label of the one with equal text and times in a labelled list.

    Args:
      captions: what to label.
      labelled: captions with labels; more than are needed is no error.
      tolerance: by how many seconds the starts and the ends may differ (formats round times).

    Returns:
      `captions` in their order, each with a label.

    Raises:
      ValueError: a caption has no labelled counterpart.
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
                f"(within {tolerance} s) in the label list; add it, or leave the labels out."
            )
    return result


def captions_of(texts: Iterable[str], start_ms: int, end_ms: int) -> tuple[Caption, ...]:
    """Sentences about a whole span (milliseconds) as captions; white space is made plain."""
    cleaned = (" ".join(text.split()) for text in texts)
    return tuple(Caption(start_ms / 1000, end_ms / 1000, text) for text in cleaned if text)
